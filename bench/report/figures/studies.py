"""stub"""
def draw_studies(folder, cache):
    return []

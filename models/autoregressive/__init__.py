"""Which models give each pixel a probability, given those before it?"""

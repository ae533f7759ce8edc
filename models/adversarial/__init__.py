"""Which nets are trained against a critic?"""

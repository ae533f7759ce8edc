"""Which nets are trained to match the moments of the data, without a critic?"""

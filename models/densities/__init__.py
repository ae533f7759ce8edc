"""Which models have a density in closed form, or by a change of variables?"""

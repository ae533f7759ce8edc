"""Which models are restricted Boltzmann machines, or stacks of them?"""

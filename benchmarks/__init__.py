"""How fast is the code, next to a floor or a rival timed in the same process?

The results are ratios, never seconds alone.
"""

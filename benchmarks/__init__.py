"""How fast is what people run, next to a floor or a rival timed in the same process? Ratios, never seconds alone."""

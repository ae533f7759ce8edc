"""Which orders of images must a distance from real images give, at N ≥ 300?"""

DISTANCE = (
    ("real", "blurred"),
    ("real", "shifted"),
    ("real", "one class"),
    ("real", "mean image"),
    ("nine classes", "one class"),
)
"""Pairs (better, worse) of probes, for `Column.promises`."""

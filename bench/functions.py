"""How are the metrics' pure functions called with NumPy arrays?

They compute what those in `metrics/` do, to the bit, and return tensors; these stay as
they are, since stored scores depend on their code.
"""

from __future__ import annotations

from genmodel_bench.metrics import distances, histogram, mind, neighbours, windows
from genmodel_bench.metrics.arrays import for_arrays

parzen_log_prob = for_arrays(windows.parzen_log_prob)
parzen_log_probs = for_arrays(windows.parzen_log_probs)
nearest = for_arrays(distances.nearest)
nearest_shifted = for_arrays(neighbours.nearest_shifted)
histogram_of = for_arrays(histogram.histogram)
mind_of = for_arrays(mind.mind)

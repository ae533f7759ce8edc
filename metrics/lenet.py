"""Of which small network are the features of this project?

A LeNet: two convolutions of 5 × 5 with ReLU and max-pooling, then 64 units with ReLU,
whose values are the features, then the classes. Images of more than 64 × 64 are averaged
down to that first, so that the cost is bounded. `metrics/classifier.py` trains it.

Source: LeCun et al. (1998), Gradient-based learning applied to document recognition.
Differs from the paper: ReLU and max-pooling, 16 and 32 channels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from genmodel_bench.metrics.distances import full_precision
from torch import Tensor, nn

DIMENSIONS = 64
LARGEST = 64
"""The height and width to which larger images are averaged down."""


class LeNet(nn.Module):
    """The network; `features` alone is the map to 64 numbers.

    mean, sd: of all pixels of the training images, by which images are standardised.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        h, w = (min(size, LARGEST) for size in shape[1:])
        self.register_buffer("mean", torch.tensor(0.5))
        self.register_buffer("sd", torch.tensor(0.5))
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d((h, w)),
            nn.Conv2d(shape[0], 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (h // 4) * (w // 4), DIMENSIONS),
            nn.ReLU(),
        )
        self.head = nn.Linear(DIMENSIONS, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the features of images: (n, c, h, w) in [0, 1] -> (n, 64)."""
        features: Tensor = self.layers((x - self.mean) / self.sd)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the classes: (n, c, h, w) -> (n, classes)."""
        logits: Tensor = self.head(self.features(x))
        return logits


def untrained(shape: tuple[int, int, int], *, seed: int = 0) -> LeNet:
    """Return a network of random weights, whose features have the images' scale."""
    with alone(seed):
        net = LeNet(shape, 1)
        for layer in net.layers:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                layer.bias = nn.Parameter(torch.zeros(len(layer.weight)))
    return net


def restored(shape: tuple[int, int, int], state: Mapping[str, Tensor]) -> LeNet:
    """Return a network with the state that `trained` returned."""
    with alone(0):  # the weights that it draws first are replaced
        net = LeNet(shape, len(state["head.bias"]))
    net.load_state_dict(state)
    return net


def image_shape(x: Tensor) -> tuple[int, int, int]:
    """Return (c, h, w) of images (n, c, h, w)."""
    c, h, w = x.shape[1:]
    return c, h, w


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Return 16 hex digits of the SHA-256 of tensors and their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


@contextmanager
def alone(seed: int) -> Iterator[None]:
    """Compute on the CPU as if nothing else were there: one thread, own random numbers.

    The caller's generators and settings are as before on leaving.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]), full_precision(), torch.enable_grad():
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed CUDA's as well
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

"""Which features has a small network: one that learned the data's classes, or none?

A LeNet: two convolutions of 5 × 5 with ReLU and max-pooling, then 64 units with ReLU,
whose values are the features, then the classes. Images of more than 64 × 64 are averaged
down to that first, so that the cost is bounded.

Trained on the CPU, on one thread and with random numbers of its own: one machine gives
one network, whatever the device, the number of threads and the state of the caller's
generators. Another processor gives other bits, hence other features: their digest is in
every row.

On one thread it takes 30 s for MNIST, with 99.2 % of the test images right, and 2 s for
`digits`, with 98 %.
Source: LeCun et al. (1998), Gradient-based learning applied to document recognition.
Differs from the paper: ReLU and max-pooling, 16 and 32 channels, AdamW.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from genmodel_bench.metrics.base import Reference
from genmodel_bench.metrics.distances import full_precision
from genmodel_bench.metrics.evidence import stored
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

DIMENSIONS = 64
LARGEST = 64
"""The height and width to which larger images are averaged down."""
SEEN, EPOCHS = 150_000, 30
"""A training ends after so many images, or epochs if sooner, but not before the first."""
BATCH, RATE = 100, 3e-3
"""Of fewer than 400 images a quarter is in a batch."""


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


def learned(reference: Reference, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what `trained` does of a data set; one with a memory keeps it on disk.

    labels: (n,), of the images of "train" and "test".
    """

    def make() -> dict[str, Tensor]:
        return trained(reference.train, labels["train"], reference.test, labels["test"])

    return dict(stored(reference, "classifier", make))


def trained(
    train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor, *, seed: int = 0
) -> dict[str, Tensor]:
    """Return the state of a network that learned `labels`, and its "accuracy".

    train, test: (n, c, h, w) in [0, 1].
    labels, test_labels: (n,), any whole numbers. The accuracy is that of test images of a
        class that is among `labels`; where there are none, as of persons who are all
        unknown, a tenth of the training images is held out for it.
    """
    train, labels, test, test_labels = (x.cpu() for x in (train, labels, test, test_labels))
    known = torch.isin(test_labels, labels)
    test, test_labels = test[known], test_labels[known]
    with alone(seed):
        if not len(test):
            order = torch.randperm(len(train))
            held, kept = order[: -(-len(order) // 10)], order[-(-len(order) // 10) :]
            test, test_labels, train, labels = train[held], labels[held], train[kept], labels[kept]
        classes = torch.tensor(sorted(set(labels.tolist())))
        net = LeNet(image_shape(train), len(classes))
        net.mean, net.sd = train.mean(), train.std().clamp(min=1e-3)  # of images all alike
        fit(net, train, torch.searchsorted(classes, labels))
        with torch.no_grad():
            found = torch.cat([classes[net(x).argmax(1)] for x in torch.split(test, BATCH)])
    return {**net.state_dict(), "accuracy": (found == test_labels).double().mean()}


def fit(net: LeNet, train: Tensor, targets: Tensor) -> None:
    """Train a network on images (n, c, h, w) and their classes (n,), counted from 0."""
    batch = min(BATCH, -(-len(train) // 4))
    steps = len(train) // batch * max(1, min(EPOCHS, SEEN // len(train)))
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for index in batches(len(train), batch, steps):
        loss = cross_entropy(net(train[index]), targets[index])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        optimizer.step()
        schedule.step()


def batches(n: int, batch: int, steps: int) -> Iterator[Tensor]:
    """Yield the indices of `steps` batches of equal size, in a new order each epoch."""
    for step in range(steps):
        if step % (n // batch) == 0:
            order = torch.randperm(n)
        yield order[step % (n // batch) * batch :][:batch]


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

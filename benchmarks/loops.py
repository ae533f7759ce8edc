"""How do people write the training loop by hand?

With a DataLoader, eager PyTorch, and `loss.item()` at each step.

The GAN's loop is that of PyTorch's DCGAN tutorial, with SGD: D on real images, D on fakes
without G's gradient, D's step, then G through D on the same fakes. Its arithmetic is not
the same as ours: D sees the fakes twice, and ours updates both players from one pass. The
VAE's loop is that of pytorch/examples. Nets, sizes and minibatches are ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import MNIST


def torchvision_images(root: Path, n: int, *, workers: int) -> DataLoader[Any]:
    """Return shuffled minibatches of 100 of the first n images of torchvision's MNIST.

    Each image is decoded when it is drawn.
    """
    images = Subset(MNIST(root, train=True, transform=transforms.ToTensor()), range(n))
    return DataLoader(
        images, batch_size=100, shuffle=True, num_workers=workers, pin_memory=torch.cuda.is_available()
    )


def tensor_images(x: Tensor) -> DataLoader[Any]:
    """Return shuffled minibatches of 100 of images in memory, as floats: (n, c, h, w)."""
    return DataLoader(
        TensorDataset(x.cpu(), torch.zeros(len(x))),
        batch_size=100,
        shuffle=True,
        pin_memory=torch.cuda.is_available(),
    )


def train_gan(model: Any, loader: DataLoader[Any], device: torch.device, *, epochs: int) -> float:
    """Train the nets of a GAN by hand; return the last epoch's mean loss of D."""
    G, D, c = model.G, model.D, model.config
    opt_d = torch.optim.SGD(D.parameters(), lr=c.lr, momentum=c.momentum)
    opt_g = torch.optim.SGD(G.parameters(), lr=c.lr, momentum=c.momentum)
    total = 0.0
    for _ in range(epochs):
        total = 0.0
        for images, _ in loader:
            x = images.to(device).flatten(1)  # (100, 1, 28, 28) -> (100, 784)
            ones, zeros = torch.ones(len(x), device=device), torch.zeros(len(x), device=device)
            fake = torch.sigmoid(G(torch.randn(len(x), c.latent, device=device)))
            opt_d.zero_grad()
            loss_d = binary_cross_entropy_with_logits(D(x), ones) + binary_cross_entropy_with_logits(
                D(fake.detach()), zeros
            )
            loss_d.backward()
            opt_d.step()
            opt_g.zero_grad()
            loss_g = binary_cross_entropy_with_logits(D(fake), ones)
            loss_g.backward()
            opt_g.step()
            total += loss_d.item() + loss_g.item()
    return total / len(loader)


def train_vae(model: Any, loader: DataLoader[Any], device: torch.device, *, epochs: int) -> float:
    """Train the nets of a VAE by hand; return the last epoch's mean loss."""
    optimiser = torch.optim.Adam(model.parameters(), lr=model.config.lr)
    total = 0.0
    for _ in range(epochs):
        total = 0.0
        for images, _ in loader:
            x = images.to(device).flatten(1)  # (100, 1, 28, 28) -> (100, 784)
            optimiser.zero_grad()
            mu, log_var = model.encoder(x).chunk(2, dim=1)
            z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
            reconstruction = binary_cross_entropy(torch.sigmoid(model.decoder(z)), x, reduction="sum")
            kl = -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp())
            loss = reconstruction + kl
            loss.backward()
            optimiser.step()
            total += loss.item()
    return total / len(loader)

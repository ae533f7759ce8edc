"""How are images normalised in brightness and contrast, and converted back for display?

Global contrast normalisation subtracts each image's own mean and scales the rest to a
fixed L2 norm:

    y = scale · (x − mean x) / ‖x − mean x‖

The inverse for display gives every image the mean brightness and the mean contrast of the
training images: the two numbers that the normalisation removes are not modelled.

Source: pylearn2's `global_contrast_normalize` with its CIFAR-10 setting, scale 55, as the
released code of Goodfellow et al. (2014) uses it.
Differs from the source: pixels in [0, 1] instead of [0, 255], which makes no difference
after the scaling. For display, pylearn2 scales each image by its largest value, which
hides the contrast.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SCALE = 55.0


class Contrast(nn.Module):
    """The normalisation and its inverse for display.

    `fit` sets `brightness` and `contrast`, 0-d: the training images' means of both.
    """

    def __init__(self, *, scale: float = SCALE) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("brightness", torch.tensor(0.5))
        self.register_buffer("contrast", torch.tensor(1.0))
        self.brightness: Tensor
        self.contrast: Tensor

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Set brightness and contrast to their means over images x: (n, c, h, w)."""
        x = x.flatten(1)  # (n, c, h, w) -> (n, d)
        self.brightness.copy_(x.mean())
        self.contrast.copy_((x - x.mean(1, keepdim=True)).norm(dim=1).mean())

    def normalise(self, x: Tensor) -> Tensor:
        """Return normalised images of mean 0 and norm `scale`: (n, c, h, w) -> (n, d).

        A uniform image becomes 0, but for the rounding error of its mean.
        """
        y = x.flatten(1)  # (n, c, h, w) -> (n, d)
        y = y - y.mean(1, keepdim=True)
        # Below a quarter of one grey level in one pixel, what is left is rounding error.
        norm: Tensor = torch.linalg.vector_norm(y, dim=1, keepdim=True)
        return y * (self.scale / norm.clamp_min(1e-3))

    def restore(self, y: Tensor) -> Tensor:
        """Return images in [0, 1] for normalised ones y: (n, d) -> (n, d).

        They have the training images' mean brightness and contrast, and are clipped.
        """
        return torch.clamp(self.brightness + y * (self.contrast / self.scale), 0, 1)

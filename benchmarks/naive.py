"""How are images drawn pixel by pixel with nothing kept from one pixel to the next?"""

from __future__ import annotations

import torch
from genmodel_bench.models.autoregressive.masked import Masked
from genmodel_bench.models.autoregressive.nade import NADE
from genmodel_bench.models.autoregressive.pixelcnn import PixelCNN
from genmodel_bench.models.autoregressive.transformer import Transformer
from genmodel_bench.models.shared.levels import drawn
from torch import Tensor

Ordered = Masked | NADE | PixelCNN | Transformer


@torch.no_grad()
def naive(model: Ordered, n: int) -> Tensor:
    """Return n draws, (n, c, h, w), by a pass of the whole net for each pixel.

    They are those of the model's sampler under the same random numbers, of a net of one
    mask and images of one channel.
    """
    x = torch.zeros(n, *model.shape).flatten(1).to(next(model.parameters()))
    places = torch.arange(x.shape[1])
    if isinstance(model, Masked):
        torch.randint(1, (n,), device=x.device)  # the sampler's choice of a mask
        places = model.place[0].argsort()
    for i in places.tolist():
        outputs = model.outputs(x, 0) if isinstance(model, Masked) else model.outputs(x)
        x[:, i], _ = drawn(outputs[:, :, i], "draws")
    if isinstance(model, NADE):  # whose pixels are in its order
        x = x[:, model.order.argsort()]
    return x.view(n, *model.shape)

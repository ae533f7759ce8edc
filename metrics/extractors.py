"""Which networks from outside this project map images to features?

inception: Inception v3 as of the published FID, by torch-fidelity's implementation:
    8-bit images, resized to 299 × 299 as TensorFlow 1 does, 2,048 features.
dinov2: DINOv2 ViT-L/14, by its authors' code: images resized to 224 × 224 (bicubic) and
    standardised as those of ImageNet, the class token's 1,024 features. As dgm-eval does,
    except that resized images are not rounded to 8 bits.
module:Extractor: a torch.nn.Module, a class of which one is made without arguments, or
    any function: (n, c, h, w), float32 in [0, 1], on the data's device -> (n, k). What is
    no torch.nn.Module names the files that it reads in INPUTS, a tuple of paths from the
    folder of its module: they count as its weights.

Grey images have three equal channels for the first two. Weights are looked for in the
folder BENCH_WEIGHTS and in the cache of torch.hub; nothing is ever downloaded.

Source: Heusel et al. (2017), GANs trained by a two time-scale update rule, arXiv
1706.08500. Oquab et al. (2023), DINOv2, arXiv 2304.07193; Stein et al. (2023), Exposing
flaws of generative model evaluation metrics, arXiv 2306.04675.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from genmodel_bench.metrics.lenet import alone, digest_of
from torch import Tensor, nn
from torch.nn.functional import interpolate


@dataclass(frozen=True)
class Extractor:
    """A map of images to features.

    weights: the digest of a network's weights, or of the files in INPUTS; "" of neither.
    module: the network, which has to be on the images' device; None of a function.
    colour: it takes images of three channels.
    """

    of: Callable[[Tensor], Any]
    weights: str
    module: nn.Module | None
    colour: bool = False


URLS = {
    "inception": "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    "dinov2": "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
}
"""Where the weights of a network come from, by its name. The end is the file's name."""
DINOV2_CODE = "https://github.com/facebookresearch/dinov2"


def extractor(name: str) -> Extractor:
    """Return the map of this name. A module's own is made once in a process.

    Raises:
        ValueError: there is none, or its weights are not at hand.
    """
    if name in URLS:
        path = at_hand(name)
        return {"inception": inception, "dinov2": dinov2}[name](path)
    return anybodys(name)


def weights_digest(name: str) -> str:
    """Return the digest of the weights of a map, as in `Extractor`.

    Raises:
        ValueError: there is none, or its weights are not at hand.
    """
    if name in URLS:
        path = at_hand(name)
        return _file_digest(path, path.stat().st_mtime_ns)
    return anybodys(name).weights


def at_hand(name: str) -> Path:
    """Return the file of weights of a network. Raises ValueError if it is not there."""
    file = URLS[name].rpartition("/")[2]
    places = [Path(torch.hub.get_dir()) / "checkpoints"]
    if os.environ.get("BENCH_WEIGHTS"):
        places.insert(0, Path(os.environ["BENCH_WEIGHTS"]).expanduser())
    for place in places:
        if (place / file).is_file():
            return place / file
    raise ValueError(
        f"features {name}: its weights are not at hand, expected {places[0] / file}; put {URLS[name]} there, "
        "or name another folder with BENCH_WEIGHTS"
    )


@cache
def _file_digest(path: Path, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def inception(path: Path) -> Extractor:
    """Return torch-fidelity's Inception v3 with the weights at `path`."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise ValueError(
            "features inception: torch-fidelity is not installed; pip install 'genmodel-bench[inception]'"
        ) from error
    with alone(0):  # the weights that it draws first are replaced
        net = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))
    return Extractor(
        lambda x: net((x * 255).round().byte())[0], weights_digest("inception"), net, colour=True
    )


def dinov2(path: Path) -> Extractor:
    """Return DINOv2 ViT-L/14 with the weights at `path`, by the code beside them.

    Raises:
        ValueError: its code is not at hand.
    """
    places = [path.parent / "dinov2", Path(torch.hub.get_dir()) / "facebookresearch_dinov2_main"]
    code = next((place for place in places if (place / "hubconf.py").is_file()), None)
    if code is None:
        raise ValueError(
            f"features dinov2: its code is not at hand, expected {places[0]}; git clone {DINOV2_CODE} there"
        )
    with alone(0):
        net: nn.Module = torch.hub.load(  # type: ignore[no-untyped-call]  # torch's own
            str(code), "dinov2_vitl14", source="local", pretrained=False
        )
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    def of(x: Tensor) -> Any:
        mean, sd = x.new_tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
        x = interpolate(x, (224, 224), mode="bicubic", antialias=True).clamp(0, 1)
        return net((x - mean) / sd)

    return Extractor(of, weights_digest("dinov2"), net, colour=True)


@cache
def anybodys(spec: str) -> Extractor:
    """Return the map that `module:Extractor` names.

    Raises:
        ValueError: there is none, or it cannot be made or called.
    """
    module, colon, names = spec.partition(":")
    try:
        if not colon:
            raise ImportError(f"expected {', '.join(['classifier', 'random', 'pca', 'pixels', *URLS])}")
        found: Any = import_module(module)
        for each in names.split("."):
            found = getattr(found, each)
        with alone(0):
            found = found() if isinstance(found, type) else found
    except Exception as error:  # whatever anybody's code raises
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ValueError(f"features {spec}: cannot be made, {text}") from error
    if not callable(found):
        raise ValueError(
            f"features {spec}: got a {type(found).__name__}, expected a torch.nn.Module or a function"
        )
    if isinstance(found, nn.Module):
        return Extractor(found, digest_of(found.state_dict()), found)
    folder = Path(str(getattr(import_module(module), "__file__", "."))).parent
    inputs = [_file_digest(folder / path, 0) for path in getattr(found, "INPUTS", ())]
    return Extractor(found, " ".join(inputs), None)

"""Which data sets are there, and how is one named that is not among them?

`digits` comes with scikit-learn, of which `digits-binary` is drawn; `ring` and `grid` are
made by code. The files of the others are under a root folder, which is `--data DIR` or
the environment variable BENCH_DATA, in the layout in which torchvision or scikit-learn
downloads them. Missing ones are downloaded there, except `tfd`, which has to be requested
from its owners, and `mnist-larochelle`. Pixels are float32 in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from genmodel_bench.data.binary import drawn_of, load_larochelle
from genmodel_bench.data.dataset import Dataset, assemble
from genmodel_bench.data.faces import load_olivetti, load_tfd
from genmodel_bench.data.folder import load_folder
from genmodel_bench.data.function import load_function
from genmodel_bench.data.hub import load_hub
from genmodel_bench.data.npz import load_npz
from genmodel_bench.data.splits import stratified_split
from genmodel_bench.data.toys import load_grid, load_ring, load_stacked
from genmodel_bench.data.vision import load_class, load_registered
from genmodel_bench.errors import BadOption, UnknownName
from genmodel_bench.inputs.objects import installed, is_spec
from genmodel_bench.metrics.papers import SRIVASTAVA_2017
from genmodel_bench.models.autoregressive.nade import LAROCHELLE_2011

DIGITS_HELD_OUT = 300
"""Images of `digits` in each of validation and test; the other 1,197 train."""


@dataclass(frozen=True)
class Form:
    """A way to name one's own data set, by a prefix.

    written: the name with its variable part, as "npz:PATH".
    says: what it stands for, as a sentence.
    load: returns it by its whole name and the root of the data sets' files.
    """

    written: str
    says: str
    load: Callable[[str, Path | str | None], Dataset]


def load(name: str, *, root: Path | str | None = None) -> Dataset:
    """Return the data set `name`: one of `DATASETS`, or of another form, as "npz:PATH".

    "mylab.data:load" is what a function of somebody's own makes; installed packages offer
    such functions under names (`inputs/objects.py`).

    root: the folder of its files (default: BENCH_DATA, else ~/.cache/genmodel-bench).

    Raises:
        UnknownName: there is no data set of this name.
        BadOption: the name does not print on one line.
        DataMissing: its files are not there and cannot be downloaded.
        BenchError: its files cannot be read.
    """
    if not name.isprintable():
        raise BadOption(f"--dataset: got {name!r:.300}, expected printable text; rename the file or folder")
    if name in DATASETS:
        return DATASETS[name](name, root)
    if (form := form_of(name)) is not None:
        return form.load(name, root)
    spec = installed("datasets").get(name, name)
    if not is_spec(spec):
        raise UnknownName("data set", name, known())
    return load_function(name, spec)


def check_known(name: str) -> None:
    """Check that a name can be of a data set; nothing is read or imported.

    Raises:
        UnknownName: it cannot.
    """
    if not (name in DATASETS or form_of(name) or name in installed("datasets") or is_spec(name)):
        raise UnknownName("data set", name, known())


def form_of(name: str) -> Form | None:
    """Return the form of a name with a prefix, None of any other."""
    prefix, colon, rest = name.partition(":")
    return FORMS.get(prefix) if colon and rest else None


def known() -> list[str]:
    """Return the names of the data sets, and the forms of others."""
    forms = [form.written for form in FORMS.values()]
    return [*DATASETS, *installed("datasets"), *forms, "module:function"]


def load_digits(name: str, root: Path | str | None) -> Dataset:
    """Return the 1,797 real 8×8 digits of scikit-learn, in a fixed split.

    1,197 train, 300 validate and 300 test, stratified by class.
    """
    from sklearn.datasets import load_digits as ship

    bunch = ship()
    # (n, 8, 8) in 0..16 -> (n, 1, 8, 8) in [0, 1]
    images = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16
    labels = torch.from_numpy(bunch.target).long()
    return assemble(name, images, labels, stratified_split(labels, DIGITS_HELD_OUT))


MNIST = "train-images-idx3-ubyte"
load_mnist = partial(
    load_registered, cls="MNIST", files=f"MNIST/raw/{MNIST}", valid=10_000, shape=(1, 28, 28)
)
DATASETS: dict[str, Callable[[str, Path | str | None], Dataset]] = {
    "digits": load_digits,
    "mnist": load_mnist,
    "fashion-mnist": partial(
        load_registered,
        cls="FashionMNIST",
        files=f"FashionMNIST/raw/{MNIST}",
        valid=10_000,
        shape=(1, 28, 28),
    ),
    "cifar10": partial(
        load_registered, cls="CIFAR10", files="cifar-10-batches-py", valid=10_000, shape=(3, 32, 32)
    ),
    "tfd": load_tfd,
    "olivetti": load_olivetti,
    "ring": load_ring,
    "grid": load_grid,
    "stacked-mnist": load_stacked,
    "digits-binary": drawn_of(load_digits),
    "mnist-binary": drawn_of(load_mnist),
    "mnist-larochelle": load_larochelle,
}
FORMS: dict[str, Form] = {
    "npz": Form("npz:PATH", "A NumPy file of images and perhaps labels.", lambda name, root: load_npz(name)),
    "folder": Form(
        "folder:PATH",
        "A folder of images of one size; sub-folders are classes, or train, valid and test.",
        lambda name, root: load_folder(name),
    ),
    "torchvision": Form("torchvision:CLASS", "A data set of torchvision, as torchvision:KMNIST.", load_class),
    "hf": Form(
        "hf:NAME",
        "A data set of Hugging Face, as hf:ylecun/mnist, or a folder; needs genmodel-bench[hf].",
        lambda name, root: load_hub(name),
    ),
}
METZ = """@inproceedings{metz2017unrolled,
            author = {Metz, Luke and Poole, Ben and Pfau, David and Sohl-Dickstein, Jascha},
            title = {Unrolled Generative Adversarial Networks},
            booktitle = {International Conference on Learning Representations},
            year = {2017}}"""
LECUN = """@article{lecun1998gradient,
            author = {LeCun, Yann and Bottou, Léon and Bengio, Yoshua and Haffner, Patrick},
            title = {Gradient-Based Learning Applied to Document Recognition},
            journal = {Proceedings of the IEEE}, volume = {86}, number = {11}, pages = {2278--2324},
            year = {1998}}"""
ALPAYDIN = """@misc{alpaydin1998optical,
            author = {Alpaydin, E. and Kaynak, C.},
            title = {Optical Recognition of Handwritten Digits},
            howpublished = {UCI Machine Learning Repository},
            year = {1998}, doi = {10.24432/C50P49}}"""
SOURCES: dict[str, tuple[str, ...]] = {
    "digits": (ALPAYDIN,),
    "digits-binary": (ALPAYDIN,),
    "mnist": (LECUN,),
    "fashion-mnist": (
        """@article{xiao2017fashion,
            author = {Xiao, Han and Rasul, Kashif and Vollgraf, Roland},
            title = {{Fashion-MNIST}: a Novel Image Dataset for Benchmarking Machine Learning Algorithms},
            journal = {arXiv preprint arXiv:1708.07747},
            year = {2017}, eprint = {1708.07747}, archivePrefix = {arXiv}}""",
    ),
    "cifar10": (
        """@techreport{krizhevsky2009learning,
            author = {Krizhevsky, Alex},
            title = {Learning Multiple Layers of Features from Tiny Images},
            institution = {University of Toronto},
            year = {2009}}""",
    ),
    "tfd": (
        """@techreport{susskind2010toronto,
            author = {Susskind, Josh and Anderson, Adam and Hinton, Geoffrey E.},
            title = {The {Toronto} Face Dataset},
            institution = {University of Toronto}, number = {UTML TR 2010-001},
            year = {2010}}""",
    ),
    "olivetti": (
        """@inproceedings{samaria1994parameterisation,
            author = {Samaria, F. S. and Harter, A. C.},
            title = {Parameterisation of a Stochastic Model for Human Face Identification},
            booktitle = {Proceedings of the Second IEEE Workshop on Applications of Computer Vision},
            year = {1994}}""",
    ),
    "ring": (METZ, SRIVASTAVA_2017),
    "grid": (SRIVASTAVA_2017,),
    "stacked-mnist": (LECUN, METZ),
    "mnist-binary": (LECUN,),
    "mnist-larochelle": (
        LECUN,
        LAROCHELLE_2011,
    ),
}
"""What to cite for each data set, as BibTeX entries."""

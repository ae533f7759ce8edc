"""Which score is Table 1 of, and which numbers of it were published?"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

HEADLINE = ("parzen", "log_likelihood")
"""The score of the paper's Table 1: (metric, its name)."""
OWN_SCORES = (("nll", "nll"), ("bound", "bound"), ("ais", "nll"), ("ais-decoder", "log_likelihood"))
"""Those of the models' own likelihoods; a row's is the first that it has."""
UNCHANGED = {"epochs", "draws", "deterministic"}
"""Options with which a row's setting still counts as the published one."""
TABLE_1 = "Goodfellow et al. (2014), Table 1"
LI_2015 = "Li et al. (2015)"


@dataclass(frozen=True)
class Published:
    """A mean test log-likelihood in nats and its standard error, as printed.

    `sigma` is set where σ was fixed instead of chosen; ours is then compared at that σ.
    `source` is where it was printed; `note` says what else differs from our protocol.
    """

    value: float
    stderr: float
    sigma: float | None = None
    note: str = ""
    source: str = TABLE_1

    @property
    def quantity(self) -> tuple[str, str]:
        """Return the score of ours that it compares with."""
        return HEADLINE if self.sigma is None else (HEADLINE[0], f"at_sigma_{self.sigma:g}")

    @property
    def about(self) -> str:
        """Return what a reader has to know of it besides the value, or nothing."""
        source = [f"published by {self.source}"] if self.source != TABLE_1 else []
        return "; ".join([*source, *[self.note] * bool(self.note)])


# Table 1: the authors' released code trains the non-saturating loss; deep GSN's number
# was made with one chain. Li et al.: the choice of σ is that of the authors' released
# code (yujiali/gmmn, `eval_mmd_generative_model.py`).
PUBLISHED = {
    ("dbn", "mnist"): Published(138, 2),
    ("dbn", "tfd"): Published(1909, 66),
    ("stacked-cae", "mnist"): Published(121, 1.6),
    ("stacked-cae", "tfd"): Published(2110, 50),
    ("deep-gsn", "mnist"): Published(
        214, 1.1, note="published of consecutive means of one chain at σ = 0.2: see deep-gsn-chain"
    ),
    ("deep-gsn", "tfd"): Published(1890, 29),
    ("deep-gsn-chain", "mnist"): Published(214, 1.1, sigma=0.2),
    ("gan-ns", "mnist"): Published(225, 2),
    ("gan-ns", "tfd"): Published(2057, 26),
    ("gmmn-ae", "mnist"): Published(
        282, 2, note="σ chosen from a finer grid, 0.10 to 0.29 in steps of 0.01", source=LI_2015
    ),
    ("gmmn-ae", "tfd"): Published(
        2204,
        20,
        note="σ, one for all folds, chosen from a finer grid, 0.05 to 0.24 in steps of 0.01",
        source=LI_2015,
    ),
}

OWN: dict[tuple[str, str], float] = {
    ("nade", "mnist-larochelle"): -88.33,
    ("made", "mnist-larochelle"): -88.40,
    ("made-32", "mnist-larochelle"): -88.04,
    ("iwae", "mnist-larochelle"): -87.10,
}
"""Log-likelihoods of test images by the models themselves, nats, as printed.

NADE: Uria et al. (2016), 500 units; MADE: Germain et al. (2015), one hidden layer; IWAE
(k = 50): Burda et al. (2016), appendix D, one stochastic layer, by L_5000. Of other nets
than ours nothing is listed: the VAE of Burda et al. has 88.71, PixelCNN 81.30.
"""


def sources(models: Container[str]) -> str:
    """Return where the published values of these models were printed."""
    others = {(model, p.source) for (model, _), p in PUBLISHED.items() if p.source != TABLE_1}
    return "; ".join(
        [TABLE_1, *(f"of {model}: {source}" for model, source in sorted(others) if model in models)]
    )


REMARKS = {
    "olivetti": "olivetti stands in for TFD, which is not open: the same code and protocol, other faces, "
    "other numbers."
}
"""What readers have to know of a data set's numbers."""
EMPTY = {"tfd": "the Toronto Face Database is given by its owners on request and was not at hand; see README"}
"""Why a data set of the paper may have no numbers of ours."""

CONTENT = {"mnist": "7c9a2c122718cbe0", "fashion-mnist": "e2aa501d8b9b5d7d"}
"""The content digests of data sets whose files are the published ones.

Beside other content no published number is printed. CIFAR-10 is not among them: its files
were not at hand byte for byte, and no number of it is compared.
"""
COPIES = {
    "f2f4dbe18cfc8292": "CIFAR-10 of which 189 of its 60,000 images come from a lossy copy: 155 that train "
    "or validate, 34 that test"
}
"""What readers have to know of the images themselves, by the digest of their content."""

"""A row of samples is called so that nobody takes it for another row."""

import pytest
from genmodel_bench import BadOption
from genmodel_bench.commands.naming import check_looks, checked_name
from genmodel_bench.models import MODELS
from genmodel_bench.storage.looks import looked_like, looks
from genmodel_bench.storage.record import Record


@pytest.mark.parametrize(
    "name",
    [
        "vае",  # Cyrillic а, е
        "ѵае",  # all Cyrillic
        "gаn-ns",
        "ｖａｅ",  # full width
        "𝗏𝖺𝖾",  # of mathematics
        "vae\u3164",
        "vae\u034f",
        "gan‐ns",  # a hyphen of its own
        "gan−ns",  # a minus
        "gan–ns",
        "vae (epochs=30)",
        "vae(epochs=30)",
        "vаe (epochs=30)",
        "vae ()",
        "vàe",
        "vɑe",  # a look-alike that no table has to list
        "g a n-ns",
        " mine",
        "mine ",
        "my  own",
        "mine\u00a0",
        "mine\u2003own",
        "\u3164",
        "\u2800",
    ],
)
def test_names_that_print_like_another_row_are_refused(name):
    with pytest.raises(BadOption, match=r"^--name: ") as error:
        checked_name(name)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "name",
    [
        *("mine", "VAE", "my vae", "vae2", "vae-mine", "мой", "模型甲", "μVAE", "naïve", "β-vae"),
        *("a (b)", "GAN (mine)", "x;=1", "🐈"),
    ],
)
def test_names_of_ones_own_are_taken(name):
    assert checked_name(name) == name


def test_every_registered_name_is_guarded():
    for name in MODELS:
        for alike in (
            f"{name} (a=1)",
            name.replace("a", "а"),
            name.replace("n", "ｎ"),
            name.replace("-", "‑"),
        ):
            if alike != name:
                assert looked_like(alike, MODELS) == name
        assert looks(name) == name


def test_rows_of_the_table_are_guarded_too():
    rows = [
        Record("d", "mylab.ae"),
        Record("d", "mine", role="samples"),
        Record("d", "net", options='{"k": 1}'),
    ]
    for name in ("mylab.ае", "mylab.ae", "mylab.ae (k=2)", "net (k=1)", "net", "mіne", "mine (a)"):
        with pytest.raises(BadOption, match="row"):
            check_looks(name, rows)
    for name in ("mine", "other", "mylab", "mine 2"):
        check_looks(name, rows)

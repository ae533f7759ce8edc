"""Studies are trained as rows are, measuring disturbs nothing, a kill loses nothing."""

import math
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from genmodel_bench.cli.main import main
from genmodel_bench.commands import study as command
from genmodel_bench.commands.study import study
from genmodel_bench.models.adversarial import gan, mlp_gan, players
from genmodel_bench.report.figures.curves import DRAWN
from genmodel_bench.report.figures.figure import sweep
from genmodel_bench.report.figures.studies import draw_studies
from genmodel_bench.report.page.plates import plates_of
from genmodel_bench.storage import sealed
from genmodel_bench.storage.plain import as_json
from genmodel_bench.storage.studied import (
    REAL,
    Studied,
    code_of,
    path_of,
    read_studied,
    superseded_of,
    write_studied,
)
from genmodel_bench.studies import STUDIES
from genmodel_bench.studies.reach import apart, number, perplexity, reached
from genmodel_bench.studies.saturation import Saturation
from genmodel_bench.studies.study import lasting, measured, usual
from genmodel_bench.training import loop
from genmodel_bench.training.seeding import fit_seed

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "results" / "baselines" / "digits" / "studies"
ROW = Studied(
    "helvetica", "digits", "j", "5", 0, 100, 20, 100, 20, "classes", 0.1 + 0.2, settings='{"j": 5}', key="a"
)


def fake(name, *, seeds=3, arms=None, folder):
    """Write rows of a study as if it had run, and frames where it has a film."""
    of, rows = STUDIES[name], []
    blank = Studied(name, "digits", REAL, "", None, of.steps, code=code_of(name))
    steps = sorted(of.moments(of.steps))
    if name == "saturation":
        quantities = ["gradient, minimax", "gradient, non-saturating", "D(G(z))", "D(x)"]
    else:
        quantities = ["training images", "classes", "diversity", "precision", "coverage"]
        rows = [replace(blank, quantity=q, value=9.0, key="real") for q in quantities]
    for arm in of.arms("digits")[:arms]:
        for seed in range(seeds):
            key = f"{arm.setting}-{arm.value}-{seed}"
            row = replace(blank, setting=arm.setting, at=arm.value, seed=seed, key=key)
            rows += [
                replace(
                    row,
                    step=step,
                    updates_g=step * getattr(arm.config, "j", 1),
                    updates_d=step * arm.config.k,
                    quantity=q,
                    value=0.01 * step + seed + 0.5,
                )
                for step in steps
                for q in quantities
            ]
            if of.film:
                film, path = (
                    torch.rand(len(steps), 6, 1, 8, 8),
                    folder / ".cache" / "studies" / f"{key}.safetensors",
                )
                sealed.save(path, key, {"film": film}, as_json({"steps": steps}))
    write_studied(path_of(folder / "digits", name), rows)
    return rows


def drawn(folder):
    return draw_studies(folder / "digits", folder / ".cache")


def test_rows_come_back_as_they_were(tmp_path):
    rows = [
        ROW,
        replace(ROW, quantity="coverage", value=1e-300),
        replace(ROW, seed=1, status='diverged: "=1", b', value=math.nan, quantity="", key="b"),
        replace(ROW, setting=REAL, at="", seed=None, step=0, key="c"),
    ]
    path = tmp_path / "studies" / "helvetica.csv"
    write_studied(path, rows)
    assert str(read_studied(path)) == str(rows)  # as text: NaN is not equal to itself
    assert [r.failed for r in read_studied(path)] == [False, False, True, False]
    assert read_studied(tmp_path / "absent.csv") == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [lines[0], lines[1].replace("0.30000000000000004", "0.9"), *lines[2:]],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [*lines, lines[1].replace("classes", "coverage")],
        lambda lines: [lines[0], lines[1].replace(",20,100,20,", ",x,100,20,"), *lines[2:]],
        lambda lines: [lines[0], lines[1].replace("0.30000000000000004", "nan"), *lines[2:]],
    ],
    ids=["edited", "lost", "added", "no number", "not finite"],
)
def test_a_training_of_which_a_row_is_not_as_it_was_is_left_out_and_no_other(damage, tmp_path):
    path = tmp_path / "helvetica.csv"
    other = replace(ROW, at="1", key="b")
    write_studied(path, [ROW, replace(ROW, quantity="diversity"), other])
    path.write_text("\n".join(damage(path.read_text().splitlines())) + "\n")
    assert read_studied(path) == [other]


def test_perplexity_is_the_number_of_equally_frequent_kinds():
    assert perplexity(torch.arange(7).repeat(5)) == pytest.approx(7, rel=1e-12)
    assert perplexity(torch.zeros(9)) == 1.0
    # entropy of (3/4, 1/4)
    by_hand = math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert perplexity(torch.tensor([2, 2, 2, 5])) == pytest.approx(by_hand, rel=1e-12)


def test_mean_distance_is_over_pairs_of_different_rows():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    assert apart(x) == pytest.approx((5 + 0 + 5) / 3, rel=1e-12)


def test_training_images_reach_themselves_and_one_image_alone_is_a_collapse(few):
    n = number(few)
    assert n == 40
    of_data = reached(few.train[:n], few)
    assert of_data["training images"] == len(few.train[:n].unique(dim=0))
    assert 0.8 < of_data["diversity"] < 1.2
    collapsed = reached(few.train[:1].expand(n, -1, -1, -1), few)
    assert (collapsed["training images"], collapsed["classes"]) == (1.0, 1.0)
    assert collapsed["diversity"] == 0.0
    assert collapsed["coverage"] < 0.5 < of_data["coverage"]


def test_data_without_labels_have_no_classes(few):
    values = reached(few.train[:40], replace(few, labels=None))
    assert set(values) == {"training images", "diversity", "precision", "coverage"}


class Weights(Saturation):
    """Measures the sum of all weights, and draws random numbers on the way."""

    film = True

    def moments(self, steps):
        return set(range(1, steps + 1))

    def measure(self, model, data):
        torch.rand(3)
        with torch.no_grad():
            value = float(sum(p.double().sum() for p in model.parameters()))
            for p in model.parameters():  # a copy: the training does not see it
                p.zero_()
        return {"sum": value}


@pytest.mark.parametrize("kind", [gan, mlp_gan])
def test_a_training_is_the_one_of_a_row_and_measuring_does_not_disturb_it(kind, few):
    # dropout in gan's D would notice other random numbers, batches another order
    config = replace(usual(kind.Config(), "digits"), batch_size=40, epochs=2)
    model, log = loop.fit(config, few.train, seed=fit_seed(3, "digits", config.KIND))
    found = measured(Weights(), config, "digits", few, seed=3, steps=log.steps)
    assert [moment.step for moment in found] == list(range(1, 11))
    assert found[-1].values["sum"] == float(sum(p.detach().double().sum() for p in model.parameters()))
    assert found[-1].frame.shape == (6, 1, 8, 8)
    again = measured(Weights(), config, "digits", few, seed=4, steps=log.steps)
    assert again[-1].values != found[-1].values


def test_a_training_has_enough_mini_batches_and_a_schedule_keeps_its_share():
    config = gan.Config(epochs=400, momentum_epochs=250, batch_size=10, k=3)
    longer = lasting(config, 100, 200)  # of 30 images: 6 in an epoch
    assert (longer.epochs, longer.momentum_epochs) == (17, 11)
    assert lasting(config, 1, 200).epochs == 1
    with pytest.raises(ValueError, match="expected at least 30"):
        lasting(config, 100, 29)


def test_each_value_of_j_is_measured_after_the_same_updates_of_g_and_of_d():
    of = STUDIES["helvetica"]
    for j in (int(arm.value) for arm in of.arms("digits")):
        assert of.steps in of.moments(of.steps)
        assert of.steps in {step * j for step in of.moments(of.steps)}


def test_each_k_is_measured_after_the_same_updates_of_d():
    of = STUDIES["synchrony"]
    for k in {arm.config.k for arm in of.arms("digits")}:
        assert of.steps in {step * k for step in of.moments(of.steps)}


VARIED = {
    "helvetica": {"j"},
    "synchrony": {"k", "update"},
    "momentum-prior": {"prior", "latent", "betas"},
}


@pytest.mark.parametrize("name", VARIED)
def test_the_values_of_a_study_differ_in_its_setting_alone(name):
    first, *others = (asdict(arm.config) for arm in STUDIES[name].arms("digits"))
    differ = {field for other in others for field in first if first[field] != other[field]}
    assert differ == VARIED[name]


def test_the_trainings_of_the_saturation_differ_in_the_loss_for_each_optimiser():
    arms = Saturation().arms("digits")
    for way in ("momentum", "Adam"):
        a, b = (asdict(arm.config) for arm in arms if arm.setting == way)
        assert {field for field in a if a[field] != b[field]} == {"loss"}


def test_gradient_norms_at_a_linear_generator_are_as_by_hand(few):
    config = mlp_gan.Config(latent=3, generator_layers=(), critic_layers=())
    model = config.build((1, 8, 8))
    torch.manual_seed(5)
    values = Saturation().measure(model, few)
    torch.manual_seed(5)
    z = players.noise(model.G, 1000, "uniform").double()
    W, b = (p.detach().double() for p in model.G.parameters())
    w, c = (p.detach().double() for p in model.D.parameters())
    x = (z @ W.T + b).sigmoid()  # (n, 3) -> (n, 64)
    d = (x @ w.T + c).sigmoid()  # (n, 64) -> (n, 1)
    for loss, slope in (("minimax", -d), ("non-saturating", -(1 - d))):
        at_y = slope * w * x * (1 - x) / len(z)  # (n, 64)
        norm = torch.cat([(at_y.T @ z).flatten(), at_y.sum(0)]).norm()
        # float32 sums of a thousand terms
        assert values[f"gradient, {loss}"] == pytest.approx(float(norm), rel=1e-4)
    assert values["D(G(z))"] == pytest.approx(float(d.mean()), rel=1e-5)


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Runs 4 trainings of 3 mini-batches; returns their rows and their file as bytes."""
    monkeypatch.setattr(Saturation, "steps", 3)
    monkeypatch.setattr(command, "git_commit", lambda: "abc")  # as if nobody commits meanwhile
    monkeypatch.setattr(command, "draw_studies", lambda folder, cache: [])  # tested below

    def run(folder="results", **options):
        options = {"seeds": 1, **options}
        _, rows = study("saturation", results=tmp_path / folder, device="cpu", **options)
        return rows, path_of(tmp_path / folder / "digits", "saturation").read_bytes()

    return run


def count(monkeypatch, *, kill_at=None, error=KeyboardInterrupt):
    """Return the list in which trainings are noted; the one of a number is killed."""
    begun = []

    def noted(of, config, *args, **named):
        begun.append(config)
        if len(begun) == kill_at:
            raise error
        return measured(of, config, *args, **named)

    monkeypatch.setattr(command, "measured", noted)
    return begun


def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(quick, monkeypatch, tmp_path):
    rows, whole = quick("whole")
    assert Counter((r.setting, r.at) for r in rows) == {
        (way, loss): 3 * 4 for way in ("momentum", "Adam") for loss in ("non-saturating", "minimax")
    }
    count(monkeypatch, kill_at=3)
    with pytest.raises(KeyboardInterrupt):
        quick()
    path = path_of(tmp_path / "results" / "digits", "saturation")
    assert len({r.key for r in read_studied(path)}) == 2
    begun = count(monkeypatch)
    assert quick()[1] == whole
    assert len(begun) == 2
    assert quick()[1] == whole
    assert len(begun) == 2


def test_a_failed_training_is_a_row_and_is_tried_again(quick, monkeypatch):
    _, whole = quick("whole")
    count(monkeypatch, kill_at=2, error=loop.Diverged("loss_g is nan"))
    rows, _ = quick()
    assert [r.status for r in rows if r.failed] == ["diverged: loss_g is nan"]
    begun = count(monkeypatch)
    assert quick()[1] == whole
    assert len(begun) == 1


def test_other_seeds_stand_beside_and_another_budget_supersedes(quick, monkeypatch, tmp_path):
    quick()
    begun = count(monkeypatch)
    rows, _ = quick(seeds=[1])
    assert (len(begun), {r.seed for r in rows}) == (4, {0, 1})
    rows, _ = quick(epochs=1)
    assert {(r.seed, r.budget) for r in rows} == {(0, 1197 // 50)}
    older = read_studied(superseded_of(path_of(tmp_path / "results" / "digits", "saturation")))
    assert {(r.seed, r.budget) for r in older} == {(0, 3), (1, 3)}


@pytest.mark.slow
def test_two_processes_make_the_rows_of_one(quick):
    assert quick("two", jobs=2)[1] == quick("one")[1]


def typed(monkeypatch, capsys, *args):
    """Type a command; return its exit code and stderr."""
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, args)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["helvetika"], "unknown study 'helvetika'; did you mean 'helvetica'?"),
        (["helvetica", "--seeds", "0"], "--seeds: got 0, expected at least 1"),
        (["helvetica", "--seeds", "x"], "--seeds: got 'x', expected how many"),
        (["helvetica", "--epochs", "0"], "--epochs: got 0, expected at least 1"),
        (["helvetica", "--jobs", "0"], "--jobs: got 0, expected at least 1"),
        (["helvetica", "--dataset", "mnits"], "unknown data set 'mnits'; did you mean 'mnist'?"),
        (["helvetica", "--device", "tpu"], "--device: got 'tpu'"),
        (["theory", "--dataset", "digits"], "study theory: it is one training"),
        (["theory", "--seeds", "3"], "--seeds: got 3 seeds, but theory is one training"),
    ],
)
def test_a_wrong_name_or_option_is_one_line(args, said, monkeypatch, capsys, tmp_path):
    code, err = typed(monkeypatch, capsys, "study", *args, "--results", tmp_path)
    assert code == 2
    assert err.startswith(f"bench: {said}")
    assert err.count("\n") == 1
    assert not list(tmp_path.rglob("*.csv"))


def test_without_a_name_the_studies_are_listed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "study"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [*STUDIES, "theory"]


def test_every_study_is_drawn_and_quotes_its_numbers(tmp_path):
    assert set(DRAWN) == set(STUDIES)
    assert drawn(tmp_path) == []
    for name in STUDIES:
        fake(name, folder=tmp_path)
    figures = drawn(tmp_path)
    assert [f.path.stem for f in figures] == [
        "helvetica", "helvetica-film", "saturation", "synchrony", "momentum-prior"
    ]  # fmt: skip
    for figure in figures:
        assert figure.path.read_bytes().startswith(b"\x89PNG")
        assert figure.path.with_suffix(".pdf").exists()
        assert figure.alt
        assert "digits" in figure.title
        assert "other code" not in figure.caption
    # after 1,000 mini-batches 0.01 · 1000 + seed + 0.5; with j = 25 after 40 of them
    assert "training images from 11.5 (10.5 to 12.5) to 1.9 (0.9 to 2.9)" in figures[0].caption
    (part,) = plates_of(figures).items()
    assert part[0] == "studies"
    assert len(part[1].pictures) == 5


def test_figures_of_studies_are_drawn_without_torch(tmp_path):
    fake("synchrony", folder=tmp_path)
    code = (
        "import sys; from pathlib import Path\n"
        "from genmodel_bench.report.figures.studies import draw_studies\n"
        "assert draw_studies(Path(sys.argv[1]), Path(sys.argv[1])); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "digits")], check=True, cwd=ROOT)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_that_was_killed_at_its_first_training_is_drawn(name, tmp_path):
    rows = fake(name, folder=tmp_path, arms=1, seeds=1)
    failed = replace(rows[-1], seed=9, quantity="", value=math.nan, status="oom: no memory left", key="z")
    write_studied(path_of(tmp_path / "digits", name), [*rows, failed])
    figure = drawn(tmp_path)[0]
    assert "One seed. Of 1 there is no number" in figure.caption
    assert "oom: no memory left" in figure.caption


def test_rows_of_other_code_are_said_to_be(tmp_path):
    rows = fake("synchrony", folder=tmp_path, arms=2)
    write_studied(path_of(tmp_path / "digits", "synchrony"), [replace(r, code="0") for r in rows])
    assert drawn(tmp_path)[0].caption.endswith("`bench study synchrony` makes it anew.")


def test_the_film_stays_where_no_frames_are_and_goes_with_its_trainings(tmp_path):
    fake("helvetica", folder=tmp_path)
    film = drawn(tmp_path)[1].path
    before = film.read_bytes()
    for path in (tmp_path / ".cache" / "studies").iterdir():
        path.unlink()
    assert [f.path for f in drawn(tmp_path)][1:] == [film]
    assert film.read_bytes() == before
    rows = [replace(r, key=f"{r.key}!") for r in read_studied(path_of(tmp_path / "digits", "helvetica"))]
    write_studied(path_of(tmp_path / "digits", "helvetica"), rows)
    figures = drawn(tmp_path)
    assert [f.path.stem for f in figures] == ["helvetica"]
    sweep(film.parent, figures)
    assert not film.exists()


@pytest.mark.skipif(not COMMITTED.exists(), reason="no studies are committed")
def test_in_the_committed_study_g_collapses_where_it_is_updated_25_times():
    rows = read_studied(COMMITTED / "helvetica.csv")
    ends = {(r.at, r.seed): r.value for r in rows if r.quantity == "training images" and r.step == r.budget}
    for seed in (0, 1, 2):
        assert ends["25", seed] < ends["1", seed] / 3

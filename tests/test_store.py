import csv
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from genmodel_bench.errors import BadRecords, BenchError
from genmodel_bench.storage.names import folder_name
from genmodel_bench.storage.reading import read_records
from genmodel_bench.storage.record import COLUMNS, EMPTY, OURS, Record, seal_of, texts_of, to_csv
from genmodel_bench.storage.store import Store, passed_over, read_results

ROW = Record(
    "mnist",
    "gan-ns",
    cell="c",
    seed=0,
    metric="parzen",
    quantity="log_likelihood",
    value=225.0,
    stderr=2.0,
    n=10_000,
    samples=100,
    ingredients='{"fit": {"setting lr": 1}, "samples": {}, "score": {"metric": "parzen"}}',
    created="2026-01-01T00:00:00+00:00",
).sealed()


def row(other=ROW, recipe=None, scored=None, **changes):
    """Another row, sealed; of another recipe, or scored otherwise, if asked."""
    parts = json.loads(other.ingredients)
    parts["fit"] |= {"setting lr": recipe} if recipe else {}
    parts["score"] |= {"metric's size": scored} if scored else {}
    return replace(other, **{"ingredients": json.dumps(parts), **changes}).sealed()


def believed_of(store):
    return [(r.seed, r.value, r.doubt) for r in store.records()]


def test_rows_are_read_back_to_the_last_bit(tmp_path):
    rows = [
        row(value=0.1 + 0.2, stderr=1e-300, status='warning: "quoted", with\nline', options='{"a": [1, 2]}'),
        row(seed=1, value=None, stderr=None, n=None, status="failed: none", epochs=None, fit_seconds=None),
        row(seed=None, model="NA", commit="0012e5", role="samples", peak_memory_mib=1.5),
    ]
    store = Store(tmp_path, "mnist")
    store.append(rows)
    assert store.records() == rows
    assert read_records(store.path) == rows


def test_columns_are_the_documented_ones():
    assert to_csv([ROW]).splitlines()[0].split(",") == COLUMNS
    for name in (
        "dataset",
        "model",
        "seed",
        "metric",
        "value",
        "stderr",
        "stderr_over",
        "n",
        "unit",
        "status",
    ):
        assert name in COLUMNS


def test_a_new_value_takes_the_place_of_the_old(tmp_path):
    store = Store(tmp_path, "mnist")
    store.append([ROW, row(seed=1, cell="d")])
    store.append([row(value=226.0)])
    assert sorted((r.seed, r.value) for r in store.records()) == [(0, 226.0), (1, 225.0)]


OTHER_LINES = [
    row(options='{"lr": 1}', cell="e"),
    row(samples=7, cell="f"),
    row(model="vae", cell="g"),
]


def test_another_recipe_removes_every_row_of_the_line(tmp_path):
    store = Store(tmp_path, "mnist")
    store.append([ROW, row(seed=1), row(metric="neighbours"), *OTHER_LINES])
    new = row(recipe=2, cell="d")
    store.append([new])
    assert store.records() == [*OTHER_LINES, new]


def test_another_metric_recipe_removes_the_lines_rows_of_that_metric(tmp_path):
    store = Store(tmp_path, "mnist")
    neighbours = row(metric="neighbours")
    store.append([ROW, row(seed=1, cell="d"), neighbours, *OTHER_LINES])
    new = row(scored=3)
    store.append([new])
    assert store.records() == [neighbours, *OTHER_LINES, new]


def test_another_content_of_the_data_set_removes_every_row(tmp_path):
    store = Store(tmp_path, "mnist")
    store.append([ROW, *OTHER_LINES])
    new = row(model="dbn", cell="d", dataset_digest="changed")
    store.append([new])
    assert store.records() == [new]
    assert sorted(r.value for r in read_records(store.superseded)) == [225.0] * 4


def test_a_cell_under_a_new_label_leaves_the_old_one(tmp_path):
    store = Store(tmp_path, "mnist")
    old = row(options='{"epochs": 2}')
    store.append([old])
    store.append([ROW])
    assert store.records() == [ROW]


def test_names_stay_inside_the_results_folder(tmp_path):
    for name in ("folder:/etc/passwd", "folder:../../x", "..", "a/b", "folder:" + "ü" * 300):
        assert len(folder_name(name)) <= 120
        assert "/" not in folder_name(name)
        assert ".." not in folder_name(name)
        assert Store(tmp_path, name).path.resolve().is_relative_to(tmp_path)


def test_rows_of_many_writers_are_all_there(tmp_path):
    threads = [
        threading.Thread(target=Store(tmp_path, "mnist").append, args=([row(model=f"m{i}", cell=f"c{i}")],))
        for i in range(12)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(r.model for r in Store(tmp_path, "mnist").records()) == sorted(f"m{i}" for i in range(12))


HEADER = ",".join(COLUMNS)
GOOD = to_csv([ROW]).splitlines()[1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2\n",
        'dataset,"model\n',
        "\0\0",
        f"{HEADER}\nmnist,gan-ns\n",
        f"{HEADER}\n{GOOD.replace('225.0', 'nan')}\n",
        f"{HEADER}\n{GOOD.replace('225.0', 'many')}\n",
        f"{HEADER}\n{GOOD.replace(',model,', ',queen,')}\n",
        f"{HEADER}\n{GOOD.replace(',{},', ',[],', 1)}\n",
        f"{HEADER}\n{GOOD.replace(',False,', ',perhaps,')}\n",
    ],
)
def test_a_foreign_file_is_one_line_and_kept(tmp_path, text):
    store = Store(tmp_path, "mnist")
    store.folder.mkdir()
    store.path.write_text(text)
    with pytest.raises(BadRecords, match=r"move (it|the file) away"):
        store.append([ROW])
    assert store.path.read_text() == text


def test_artefacts_are_hidden_from_git(tmp_path):
    path = Store(tmp_path, "mnist").artefact("samples", "x")
    assert path == tmp_path / ".cache" / "samples" / "x"
    assert not path.parent.exists()
    Store(tmp_path, "mnist").prepare()
    assert (tmp_path / ".cache" / ".gitignore").read_text() == "*\n"


def test_what_is_outdated_is_superseded_and_what_is_measured_again_is_not(tmp_path):
    store = Store(tmp_path, "mnist")
    assert store.append([ROW, row(seed=1, value=1.0, cell="d")]) == []
    assert store.append([row(score_seconds=3.0)]) == []  # the same value again
    gone = store.append([row(recipe=2, value=226.0)])
    assert [(r.seed, r.value) for r in gone] == [(1, 1.0), (0, 225.0)]
    assert read_records(store.superseded) == gone
    assert [(r.seed, r.value) for r in store.records()] == [(0, 226.0)]
    again = store.append([row(recipe=3, value=227.0)])
    assert read_records(store.superseded) == [*gone, *again]


def test_other_content_is_refused_or_superseded(tmp_path):
    store = Store(tmp_path, "mnist")
    store.append([row(dataset_digest="ours")])
    with pytest.raises(
        BenchError,
        match=r"^mnist: the data at hand \(content other\) are not those of the rows in .* "
        r"\(ours\); supersede",
    ):
        store.prepare("other")
    assert believed_of(store) == [(0, 225.0, "")]
    store.prepare("ours")
    store.prepare("other", replace=True)
    assert store.records() == []
    assert [r.value for r in read_records(store.superseded)] == [225.0]


DOUBTS = {
    "edited": lambda rows: [replace(rows[0], value=999.0), rows[1]],
    "twice": lambda rows: [*rows, rows[0]],
    "twice with another value": lambda rows: [
        *rows,
        row(rows[0], value=230.0, created="2026-01-02T00:00:00+00:00"),
    ],
    "another recipe": lambda rows: [rows[0], row(rows[1], recipe=2, created="2026-01-02T00:00:00+00:00")],
    "scored otherwise": lambda rows: [rows[0], row(rows[1], scored=2, created="2025-01-02T00:00:00+00:00")],
    "another content": lambda rows: [
        rows[0],
        row(rows[1], dataset_digest="o", created="2026-01-02T00:00:00+00:00"),
    ],
    "another data set": lambda rows: [rows[0], row(rows[1], dataset="digits")],
}
EXPECTED = {
    "edited": [(0, 999.0, "was edited since it was made"), (1, 226.0, "")],
    "twice": [(0, 225.0, ""), (1, 226.0, ""), (0, 225.0, "stands there twice")],
    "twice with another value": [(0, 225.0, "stands there twice"), (1, 226.0, ""), (0, 230.0, "")],
    "another recipe": [
        (0, 225.0, "was made by another recipe than the newest row of its line"),
        (1, 226.0, ""),
    ],
    "scored otherwise": [(0, 225.0, ""), (1, 226.0, "was scored otherwise than the newest row of its line")],
    "another content": [
        (0, 225.0, "is of another content of the data set than the newest row"),
        (1, 226.0, ""),
    ],
    "another data set": [(0, 225.0, ""), (1, 226.0, "is of the data set digits")],
}


@pytest.mark.parametrize("name", DOUBTS)
def test_one_reader_says_which_rows_are_not_to_be_believed(tmp_path, name):
    store = Store(tmp_path, "mnist")
    rows = [ROW, row(seed=1, value=226.0, cell="d")]
    store.append(rows)
    assert believed_of(store) == [(0, 225.0, ""), (1, 226.0, "")]
    store.path.write_text(to_csv(DOUBTS[name](rows)))
    assert believed_of(store) == EXPECTED[name]
    # rows made again replace all of them
    store.append(rows)
    assert sorted(believed_of(store)) == [(0, 225.0, ""), (1, 226.0, "")]


def test_a_copied_folder_and_a_foreign_file_are_passed_over(tmp_path):
    Store(tmp_path, "mnist").append([ROW])
    for name, text in (
        ("mnist-old", Store(tmp_path, "mnist").path.read_text()),
        ("exp1", "step,loss\n1,2\n"),
        ("empty", ""),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "runs.csv").write_text(text)
    assert read_results(tmp_path) == [ROW]
    assert passed_over(tmp_path) == {
        "empty": "has not the columns of records",
        "exp1": "has not the columns of records",
        "mnist-old": "holds rows of mnist, which belong into a folder of that name",
    }


def test_foreign_files_of_every_kind_are_passed_over(tmp_path):
    Store(tmp_path, "mnist").append([ROW])
    for name, content in (
        ("latin", "modèle,value\n".encode("latin-1")),
        ("binary", b"\x80\x00\xff"),
        ("quote", b'"a\nb'),
        ("long", b"a" * 200_000),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "runs.csv").write_bytes(content)
    (tmp_path / "folder" / "runs.csv").mkdir(parents=True)
    assert read_results(tmp_path) == [ROW]
    assert passed_over(tmp_path)["folder"] == "cannot be read (Is a directory)"
    assert {text for name, text in passed_over(tmp_path).items() if name != "folder"} == {
        "has not the columns of records"
    }


def test_a_text_of_any_length_is_read_back(tmp_path):
    store = Store(tmp_path, "mnist")
    store.append([row(status="failed: " + "x" * 200_000)])
    assert len(store.records()[0].status) > 200_000


def test_a_damaged_file_of_superseded_rows_is_told_before_the_work(tmp_path):
    store = Store(tmp_path, "mnist")
    store.append([ROW])
    store.superseded.write_text("a,b\n")
    with pytest.raises(BadRecords, match=r"runs-superseded\.csv: has not the columns"):
        store.prepare()


def test_columns_of_an_older_and_of_a_newer_version_are_read_and_kept(tmp_path):
    store = Store(tmp_path, "mnist")
    store.append([ROW, row(seed=1, value=226.0, cell="d")])
    with store.path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    # A newer version sealed its rows with a column that is unknown here, in another
    # order; an older one lacked some of our columns.
    newer = [{**r, "nats_per_bit": "-1.5", "note": "'=1+1", "unused": "{}"} for r in rows]
    for r in newer:
        r["seal"] = seal_of({name: text.removeprefix("'") for name, text in r.items()})
    write(store.path, list(reversed(newer[0])), newer)
    assert believed_of(store) == [(0, 225.0, ""), (1, 226.0, "")]
    store.append([row(seed=2, value=227.0, cell="e")])
    with store.path.open(newline="") as file:
        again = list(csv.DictReader(file))
    assert [(r["nats_per_bit"], r["note"], r["unused"]) for r in again] == [("-1.5", "'=1+1", "{}")] * 2 + [
        ("", "", "")
    ]
    assert believed_of(store) == [(0, 225.0, ""), (1, 226.0, ""), (2, 227.0, "")]

    absent = [name for name in COLUMNS if rows[0][name] in EMPTY and name not in OURS]
    assert {"trace", "processor", "formerly", "deterministic"} <= set(absent)
    older = [{name: text for name, text in r.items() if name not in absent} for r in rows]
    write(store.path, list(older[0]), older)
    assert store.records() == [ROW, row(seed=1, value=226.0, cell="d")]
    assert all(not doubt for _, _, doubt in believed_of(store))


def write(path, columns, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def test_every_default_says_nothing_so_that_a_column_more_breaks_no_seal():
    """A column added later must have such a default; these had none when seals began."""
    plain = texts_of(Record("d", "m"))
    assert {name for name, text in plain.items() if text not in EMPTY} == {
        "dataset",
        "model",
        "role",
        "status",
        "samples",
        "draws",
        "threads",
    }


def test_rows_of_the_first_form_are_read_written_and_read_again(tmp_path):
    """They were in results/mnist/runs.csv in this form."""
    store = Store(tmp_path, "mnist")
    store.folder.mkdir()
    text = (Path(__file__).parent / "first_form.csv").read_text()
    store.path.write_text(text)
    rows = store.records()
    assert [(r.model, r.options, r.variant, r.quantity, round(r.value, 3)) for r in rows] == [
        ("vae", '{"epochs": 30}', "epochs=30", "log_likelihood", 278.537),
        ("vae", '{"epochs": 30}', "epochs=30", "at_sigma_0.2", 256.771),
        ("data", "{}", "", "log_likelihood", 242.834),
    ]
    assert [r.doubt for r in rows] == ["", "", ""]
    assert json.loads(rows[0].formerly)["ingredients"]["fit"]["kind of model"] == "models.vae.Config"
    assert json.loads(rows[0].ingredients)["fit"]["setting epochs"] == 30
    store.append([row(model="mean", cell="m", dataset_digest=rows[0].dataset_digest)])
    assert store.records()[:3] == rows
    assert store.records()[3].doubt == ""
    # an edited row of that form is found
    store.path.write_text(text.replace(text.splitlines()[1].split(",")[8], "1.0", 1))
    assert [r.doubt for r in store.records()] == ["was edited since it was made", "", ""]

import threading
from dataclasses import replace

import pytest

from bench.errors import BadRecords
from bench.store import COLUMNS, Record, Store, folder_name, read_records, to_csv

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
    recipe="r",
)


def test_rows_are_read_back_to_the_last_bit(tmp_path):
    rows = [
        replace(ROW, value=0.1 + 0.2, stderr=1e-300, status='warning: "quoted", with\nline', variant="a=(1, 2)"),
        replace(ROW, seed=1, value=None, stderr=None, n=None, status="failed: none", epochs=None, fit_seconds=None),
        replace(ROW, seed=None, model="NA", commit="0012e5", role="samples", peak_memory_mib=1.5, recipe="00"),
    ]
    store = Store(tmp_path, "mnist")
    store.append(rows)
    assert store.records() == rows
    assert read_records(store.path) == rows


def test_columns_are_the_documented_ones():
    assert to_csv([ROW]).splitlines()[0].split(",") == COLUMNS
    for name in ("dataset", "model", "seed", "metric", "value", "stderr", "stderr_over", "n", "unit", "status"):
        assert name in COLUMNS


def test_a_new_value_takes_the_place_of_the_old(tmp_path):
    store = Store(tmp_path, "mnist")
    store.append([ROW, replace(ROW, seed=1, cell="d")])
    store.append([replace(ROW, value=226.0)])
    assert sorted((r.seed, r.value) for r in store.records()) == [(0, 226.0), (1, 225.0)]


OTHER_LINES = [
    replace(ROW, variant="lr=1", cell="e"),
    replace(ROW, samples=7, cell="f"),
    replace(ROW, model="vae", cell="g"),
]


def test_another_recipe_removes_every_row_of_the_line(tmp_path):
    store = Store(tmp_path, "mnist")
    store.append([ROW, replace(ROW, seed=1), replace(ROW, metric="neighbours"), *OTHER_LINES])
    new = replace(ROW, recipe="s", cell="d")
    store.append([new])
    assert store.records() == [*OTHER_LINES, new]


def test_another_metric_recipe_removes_the_lines_rows_of_that_metric(tmp_path):
    store = Store(tmp_path, "mnist")
    neighbours = replace(ROW, metric="neighbours")
    store.append([ROW, replace(ROW, seed=1, cell="d"), neighbours, *OTHER_LINES])
    new = replace(ROW, metric_recipe="s")
    store.append([new])
    assert store.records() == [neighbours, *OTHER_LINES, new]


def test_another_content_of_the_data_set_removes_every_row(tmp_path):
    store = Store(tmp_path, "mnist")
    store.append([ROW, *OTHER_LINES])
    new = replace(ROW, model="dbn", cell="d", dataset_digest="changed")
    store.append([new])
    assert store.records() == [new]


def test_a_cell_under_a_new_label_leaves_the_old_one(tmp_path):
    store = Store(tmp_path, "mnist")
    old = replace(ROW, variant="epochs=2")
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
    threads = [threading.Thread(target=Store(tmp_path, "mnist").append, args=([replace(ROW, model=f"m{i}")],)) for i in range(12)]
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
        f"{HEADER}\n{GOOD.replace(',{},', ',[],')}\n",
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

"""Data sets of Hugging Face are read offline: saved ones, parquet and folders."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from genmodel_bench import BenchError, DataMissing
from genmodel_bench.data.registry import load
from genmodel_bench.errors import DataNotice
from PIL import Image
from strangers import is_one_line


@pytest.fixture(autouse=True)
def offline(tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("hf")
    for name, value in {
        "HF_HOME": str(home),
        "HF_DATASETS_CACHE": str(home / "datasets"),
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_OFFLINE": "1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def datasets(offline):
    return pytest.importorskip("datasets")


def pixels(n, *, start=0):
    return [np.random.default_rng(start + i).integers(0, 256, (6, 5), dtype=np.uint8) for i in range(n)]


def rows(datasets, n, *, start=0, **columns):
    features = {
        "id": datasets.Value("int64"),
        "picture": datasets.Image(),
        "kind": datasets.ClassLabel(names=["a", "b"]),
    }
    content = {
        "id": list(range(n)),
        "picture": [Image.fromarray(x) for x in pixels(n, start=start)],
        "kind": [i % 2 for i in range(n)],
    }
    return datasets.Dataset.from_dict(content, features=datasets.Features(features))


def as_tensor(arrays):
    return torch.from_numpy(np.stack(arrays)).unsqueeze(1).float() / 255


def test_a_saved_set_of_splits_is_read_by_its_features(datasets, tmp_path):
    parts = {"train": (40, 0), "validation": (10, 40), "test": (10, 50)}
    saved = datasets.DatasetDict({key: rows(datasets, n, start=start) for key, (n, start) in parts.items()})
    saved.save_to_disk(tmp_path / "saved")
    data = load(f"hf:{tmp_path / 'saved'}")
    assert torch.equal(data.train, as_tensor(pixels(40)))
    assert torch.equal(data.valid, as_tensor(pixels(10, start=40)))
    assert torch.equal(data.test, as_tensor(pixels(10, start=50)))
    assert data.labels["test"].tolist() == [0, 1] * 5


def test_one_split_is_divided_by_class(datasets, tmp_path):
    rows(datasets, 60).save_to_disk(tmp_path / "saved")
    data = load(f"hf:{tmp_path / 'saved'}")
    assert [len(data.train), len(data.valid), len(data.test)] == [48, 6, 6]
    assert torch.bincount(data.labels["test"]).tolist() == [3, 3]


def test_parquet_and_folders_are_read_as_load_dataset_reads_them(datasets, tmp_path):
    (tmp_path / "parquet").mkdir()
    rows(datasets, 40).to_parquet(tmp_path / "parquet" / "train.parquet")
    rows(datasets, 8, start=40).to_parquet(tmp_path / "parquet" / "test.parquet")
    data = load(f"hf:{tmp_path / 'parquet'}")
    assert torch.equal(torch.cat([data.train, data.valid]), as_tensor(pixels(40)))
    assert torch.equal(data.test, as_tensor(pixels(8, start=40)))
    assert len(data.valid) == 8
    for split, n in (("train", 30), ("test", 6)):
        for i, x in enumerate(pixels(n)):
            folder = tmp_path / "folder" / split / "ab"[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x).save(folder / f"{i:02d}.png")
    data = load(f"hf:{tmp_path / 'folder'}")
    assert [len(data.train), len(data.valid), len(data.test)] == [24, 6, 6]
    assert torch.bincount(data.labels["valid"]).tolist() == [3, 3]


def test_the_label_is_the_column_of_that_name_where_there_are_several(datasets, tmp_path):
    of = rows(datasets, 30)
    other = datasets.ClassLabel(names=["x", "y", "z"])
    of = of.add_column("label", [i % 3 for i in range(30)]).cast_column("label", other)
    of.save_to_disk(tmp_path / "saved")
    data = load(f"hf:{tmp_path / 'saved'}")
    assert torch.bincount(torch.cat(list(data.labels.values()))).tolist() == [10] * 3


def test_splits_that_are_not_read_are_said(datasets, tmp_path):
    saved = {key: rows(datasets, 30) for key in ("train", "test", "extra")}
    datasets.DatasetDict(saved).save_to_disk(tmp_path / "saved")
    with pytest.warns(DataNotice, match="not read: extra; train, validation and test are"):
        load(f"hf:{tmp_path / 'saved'}")


def cut_png():
    buffer = io.BytesIO()
    Image.fromarray(pixels(1)[0]).save(buffer, "PNG")
    return buffer.getvalue()[:60]


def broken(datasets, change):
    of = rows(datasets, 30)
    if change == "no image":
        return of.remove_columns("picture")
    if change == "two images":
        second = of.select_columns("picture").rename_column("picture", "second")
        return datasets.concatenate_datasets([of, second], axis=1)
    if change == "empty":
        return of.cast_column("picture", datasets.Image(decode=False)).map(
            lambda row, i: {"picture": None if i == 3 else row["picture"]}, with_indices=True
        )
    if change == "damaged":
        coded = of.cast_column("picture", datasets.Image(decode=False))
        return coded.map(
            lambda row, i: {"picture": {"bytes": cut_png(), "path": None} if i == 4 else row["picture"]},
            with_indices=True,
        ).cast_column("picture", datasets.Image())
    return datasets.DatasetDict({"one": of, "two": of})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "no image",
            r"has the columns id \(Value\), kind \(ClassLabel\), expected one with the feature Image",
        ),
        ("two images", "expected one with the feature Image"),
        ("empty", "image 3 is empty, expected an image; filter it out"),
        ("damaged", "image 4: cannot be read as an image"),
        ("splits", "has the splits one, two, expected train, validation and test"),
    ],
)
def test_what_is_not_a_set_of_images_is_one_line(change, message, datasets, tmp_path):
    broken(datasets, change).save_to_disk(tmp_path / "saved")
    with pytest.raises(BenchError, match=message) as error:
        load(f"hf:{tmp_path / 'saved'}")
    is_one_line(str(error.value))


def test_a_name_that_is_not_there_is_one_line(datasets):
    for name in ("hf:nobody/nothing", "hf:nobody/nothing:config", "hf:nothing"):
        with pytest.raises(
            DataMissing, match="expected hf:ORG/NAME, hf:ORG/NAME:CONFIG or hf:FOLDER"
        ) as error:
            load(name)
        is_one_line(str(error.value))


def test_without_the_package_one_line_says_how_to_install_it(tmp_path):
    code = (
        "import sys; sys.modules['datasets'] = None; sys.argv = ['bench', *sys.argv[1:]]\n"
        "from genmodel_bench.cli.main import main; main()"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "run",
        "mean",
        "--dataset",
        "hf:ylecun/mnist",
        "--results",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "bench: hf:ylecun/mnist: needs the package datasets; pip install 'genmodel-bench[hf]'\n"
    )


def test_the_command_of_the_docs_runs(datasets, tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text()
    (text,) = re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S)
    done = subprocess.run(
        [
            "bash",
            "-eu",
            "-c",
            text.replace("bench run", f"{sys.executable} -m genmodel_bench run --no-figures"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bench-results" / "hf%3Asaved" / "runs.csv").is_file()

"""A file is written whole, whatever lies in its place."""

import warnings

import pytest
import torch
from genmodel_bench.storage import sealed
from genmodel_bench.storage.atomic import remove, set_aside, write_atomically
from genmodel_bench.training import checkpoint


def folder_at(path):
    """A folder with a file in it, where a file belongs."""
    path.mkdir(parents=True)
    (path / "theirs").write_text("x")
    return path


def test_a_folder_in_the_place_of_a_file_is_set_aside_and_not_lost(tmp_path):
    for name in ("x.damaged", "x.damaged1"):
        write_atomically(folder_at(tmp_path / "x.json"), b"{}")
        assert (tmp_path / "x.json").read_bytes() == b"{}"
        assert (tmp_path / name / "theirs").read_text() == "x"
        remove(tmp_path / "x.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.damaged", "x.damaged1"]


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    for target in ("there/runs.csv", "there/not-yet.csv"):
        link = tmp_path / "runs.csv"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        write_atomically(link, b"new")
        assert link.is_symlink()
        assert (tmp_path / target).read_bytes() == b"new"
    assert {p.name for p in (tmp_path / "there").iterdir()} == {"runs.csv", "not-yet.csv"}


def test_removing_deletes_files_and_links_and_keeps_folders(tmp_path):
    (tmp_path / "link").symlink_to(folder_at(tmp_path / "folder"))
    (tmp_path / "file").write_text("")
    for name in ("link", "file", "folder", "nothing"):
        remove(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.damaged"]
    assert set_aside(tmp_path / "folder.damaged").name == "folder.damaged1"


def test_sealed_tensors_take_the_place_of_a_folder(tmp_path):
    path = folder_at(tmp_path / "k.safetensors")
    with pytest.raises(sealed.Broken, match="is damaged"):
        sealed.load(path, "k")
    sealed.save(path, "k", {"x": torch.ones(2)})
    assert torch.equal(sealed.load(path, "k")[0]["x"], torch.ones(2))


def test_a_folder_in_the_place_of_a_checkpoint_is_set_aside_each_time(tmp_path):
    checkpoint.save(tmp_path, 5, {"a": 1})
    for _ in range(2):  # the second one finds the name of the first taken
        folder_at(tmp_path / f"{9:012d}-{'0' * 16}.pt")
        with pytest.warns(RuntimeWarning, match="set aside"):
            assert checkpoint.load_latest(tmp_path, torch.device("cpu")) == {"a": 1}
    folder_at(tmp_path / f"{1:012d}-{'0' * 16}.pt")  # an old one is deleted when a new one is written
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for position in (6, 7):
            checkpoint.save(tmp_path, position, {"a": position})
    assert len(list(tmp_path.glob("*.pt"))) == 2

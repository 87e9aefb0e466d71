"""Many experiments on a work pool: `python -m flows.sweep -S train_qlora.r=8,16 -S seed=0,1`, or the deployment sweep.

    sweep         one flow run; hands out an experiment for each point of the grid and waits for them
    experiment    a flow run each, taken by any worker of the pool, on any machine: clones the project into a workspace
                  of its own, runs `dvc exp run` there, and pushes the result to where the clone came from

Results come together as DVC experiments (`dvc exp show`) and in MLflow. An experiment whose worker dies is handed out
again; one whose result has arrived is not run again.
"""
import argparse
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.logging import get_run_logger
from prefect.states import Crashed

from traitlab.errors import InputError

WORKSPACES = Path(os.environ.get("TRAITLAB_WORKSPACES", "cache/workspaces"))
DEAD_AFTER = 180  # seconds without a heartbeat of a flow run; Prefect sends one every 30 where prefect.yaml says so
ATTEMPTS = 3


@flow(name="sweep", persist_result=False)
def sweep(grid: dict[str, list[Any]], name: str = "sweep", dead_after: int = DEAD_AFTER) -> None:
    """Run every combination of the grid as an experiment of its own, on the work pool.

    Args:
        grid: parameter, as `dvc exp run -S` takes it -> its values, such as {"train_qlora.r": [8, 16], "seed": [0, 1]}.
        name: of the sweep; its experiments are called after it.
        dead_after: seconds without a sign of life after which an experiment is handed to another worker.

    Raises:
        RuntimeError: experiments failed; the others were still run.
    """
    log = get_run_logger()
    source, revision = str(Path.cwd()), _git("rev-parse", "HEAD")
    open_runs, failed = {}, {}
    points = experiments(grid, name, revision)
    for experiment_name, overrides in points.items():
        open_runs[experiment_name] = _hand_out(experiment_name, overrides, source, revision, 1)
    with get_client(sync_client=True) as client:
        while open_runs:
            time.sleep(2)
            for experiment_name, (run_id, attempt) in list(open_runs.items()):
                run = client.read_flow_run(run_id)
                if run.state.is_running() and (silent := silence(client, run)) > dead_after:
                    log.warning(f"{experiment_name}: no sign of life for {silent:.0f} s: its worker is taken for dead")
                    client.set_flow_run_state(run_id, Crashed(message="no sign of life"), force=True)
                    run = client.read_flow_run(run_id)
                if run.state.is_completed():
                    log.info(f"{experiment_name}: done")
                    del open_runs[experiment_name]
                elif run.state.is_crashed() and attempt < ATTEMPTS:
                    log.warning(f"{experiment_name}: crashed ({run.state.message}); handed out again")
                    open_runs[experiment_name] = _hand_out(experiment_name, points[experiment_name], source, revision,
                                                           attempt + 1)
                elif run.state.is_final():
                    failed[experiment_name] = run.state
                    del open_runs[experiment_name]
    create_table_artifact(results(points), key="sweep", description=f"Experiments of {name}")
    if failed:
        raise RuntimeError("; ".join(f"{key}: {state.name} ({state.message})" for key, state in failed.items()))


def experiments(grid: dict[str, list], name: str, revision: str) -> dict[str, dict[str, Any]]:
    """{experiment: {parameter: value}}: one for each combination; the same combination always has the same name."""
    if not grid or not all(isinstance(values, list) and values for values in grid.values()):
        raise InputError('sweep: the grid names no values; write it as {"train_qlora.r": [8, 16]}')
    points = {}
    for values in itertools.product(*grid.values()):
        overrides = dict(zip(grid, values))
        digest = hashlib.sha256(json.dumps([revision, overrides], sort_keys=True).encode()).hexdigest()[:8]
        points[f"{name}-{digest}"] = overrides
    return points


def _hand_out(name, overrides, source, revision, attempt):
    run = run_deployment(
        "experiment/experiment", timeout=0, flow_run_name=name, tags=["sweep"],
        parameters={"name": name, "overrides": overrides, "source": source, "revision": revision})
    return run.id, attempt


def silence(client, run) -> float:
    """Seconds since a running flow run was last heard of: it began, or sent a heartbeat."""
    found = client.request("POST", "/events/filter", json={"limit": 1, "filter": {
        "event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": {"id": [f"prefect.flow-run.{run.id}"]},
        "occurred": {"since": (datetime.now(UTC) - timedelta(days=1)).isoformat()}}}).json()["events"]
    heard = [run.state.timestamp, *(datetime.fromisoformat(event["occurred"]) for event in found)]
    return (datetime.now(UTC) - max(heard)).total_seconds()


@flow(name="experiment", persist_result=False)
def experiment(name: str, overrides: dict[str, Any], source: str, revision: str) -> None:
    """Run the graph once with other parameters, in a workspace of its own.

    Args:
        name: of the DVC experiment.
        overrides: parameter -> value.
        source: the git repository to clone, a path or an address; the result is pushed there.
        revision: the commit to start from.

    Raises:
        RuntimeError: a command failed.
    """
    log = get_run_logger()
    if arrived(source, name):
        log.info(f"{name}: its result is there already")
        return
    workspace = (WORKSPACES / name).absolute()
    with _alone(workspace):
        if not (workspace / ".git").is_dir():
            shutil.rmtree(workspace, ignore_errors=True)
            _run(log, "git", "clone", "--quiet", source, str(workspace))
            _run(log, "git", "checkout", "--quiet", revision, cwd=workspace)
            cache = Path(source) / ".dvc/cache"
            if Path(source).is_dir():  # on this machine: one cache for all
                _run(log, sys.executable, "-m", "dvc", "cache", "dir", "--local", str(cache), cwd=workspace)
        settings = [part for key, value in overrides.items() for part in ("-S", f"{key}={json.dumps(value)}")]
        if not arrived(str(workspace), name):
            _run(log, sys.executable, "-m", "dvc", "exp", "run", "--name", name, *settings, cwd=workspace)
        remote = subprocess.run([sys.executable, "-m", "dvc", "remote", "default"], cwd=workspace, capture_output=True)
        cached = [] if remote.returncode == 0 else ["--no-cache"]
        _run(log, sys.executable, "-m", "dvc", "exp", "push", *cached, "origin", name, cwd=workspace)
        shutil.rmtree(workspace)


def arrived(repository: str, name: str) -> bool:
    """Whether the DVC experiment is in a git repository."""
    return bool(_git("ls-remote", repository, f"refs/exps/*/{name}"))


@contextmanager
def _alone(workspace: Path):
    """Wait until no other process of this machine works in the workspace."""
    import fcntl

    workspace.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{workspace}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(log, *command: str, cwd: Path | None = None) -> None:
    me = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
          for what, value in (("NAME", "traitlab"), ("EMAIL", "traitlab@localhost"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process = subprocess.Popen(command, cwd=cwd, env=os.environ | me | {"PATH": path}, text=True, errors="replace",
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    line = ""
    for line in process.stdout:
        if line.strip() and "\r" not in line:
            log.info(line.strip())
    if process.wait():
        raise RuntimeError(f"{' '.join(command[:6])}: {line.strip() or 'failed'}")


def results(points: dict[str, dict]) -> list[dict]:
    """A row for each experiment: its parameters and the trait alignment of every method."""
    rows = []
    for name, overrides in points.items():
        row = {"experiment": name, **{key: str(value) for key, value in overrides.items()}}
        reference = _git("for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}")
        scores = _git("show", f"{reference}:metrics/scores.json") if reference else ""
        rows.append(row | {f"TA {method}": traits["all"]["ta"]["value"]
                           for method, traits in (json.loads(scores) if scores else {}).items()})
    return rows


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()


def main(arguments: list[str] | None = None) -> int:
    import yaml

    from flows.server import served

    parser = argparse.ArgumentParser(prog="python -m flows.sweep", description=__doc__.splitlines()[0])
    parser.add_argument("-S", "--set-param", action="append", required=True, metavar="KEY=VALUE,VALUE...")
    parser.add_argument("--name", default="sweep")
    parser.add_argument("--dead-after", type=int, default=DEAD_AFTER, metavar="SECONDS")
    options = parser.parse_args(arguments)
    grid = {key: yaml.safe_load(f"[{values}]") for key, _, values in (s.partition("=") for s in options.set_param)}
    return served("sweep", lambda: sweep(grid, options.name, options.dead_after))


if __name__ == "__main__":
    from flows.sweep import main as run

    sys.exit(run())

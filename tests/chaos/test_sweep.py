"""A sweep over two workers, as on two machines; one dies in the middle."""
import json
import os
import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest
from served_helpers import environment, make_project, stop

DEAD_AFTER = 75
TOPICS = [150, 160, 170, 180]


def run(folder, *command, **variables):
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, env=environment() | variables,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def source(tmp_path, prefect_api):
    """The project, with a DVC remote of its own and its deployments on the server."""
    project = make_project(tmp_path / "source", {"dataset", "validate", "split"})
    run(project, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    commit = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qam", "remote"]
    subprocess.run(commit, cwd=project, check=True)
    here = {"PREFECT_API_URL": prefect_api, "TRAITLAB_ROOT": str(project)}
    run(project, "prefect", "--no-prompt", "work-pool", "create", "--type", "process", "traitlab", **here)
    run(project, "prefect", "--no-prompt", "deploy", "--all", **here)
    return project


def start_worker(source, folder, api):
    """A worker that could as well be on another machine: a clone of its own, and workspaces of its own."""
    subprocess.run(["git", "clone", "-q", source, folder], check=True)
    variables = environment() | {"PREFECT_API_URL": api, "TRAITLAB_ROOT": str(folder),
                                 "TRAITLAB_WORKSPACES": str(folder.with_name(f"{folder.name}-workspaces"))}
    with open(f"{folder}.log", "w") as log:
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "traitlab", "--limit", "1"]
        return subprocess.Popen([*command, "--name", folder.name], cwd=folder, env=variables, stdout=log, stderr=log,
                                start_new_session=True)


def kill_all(process):
    """What a power cut does: the worker and everything under it, at once."""
    for victim in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        os.kill(victim.pid, signal.SIGKILL)


def test_a_worker_dies_and_nothing_is_lost_and_nothing_is_run_twice_to_the_end(source, tmp_path, prefect_api):
    workers = [start_worker(source, tmp_path / name, prefect_api) for name in ("first", "second")]
    sweep = subprocess.Popen(
        [sys.executable, "-m", "flows.sweep", "-S", f"split.test_topics={','.join(map(str, TOPICS))}", "--dead-after",
         str(DEAD_AFTER)], cwd=source, env=environment() | {"PREFECT_API_URL": prefect_api}, start_new_session=True)
    try:
        workspaces = tmp_path / "first-workspaces"
        while not list(workspaces.glob("*/data/opinion_qa/raw.parquet")):
            assert sweep.poll() is None
            time.sleep(0.2)
        (victim,) = [path.name for path in workspaces.iterdir() if path.is_dir()]
        kill_all(workers[0])
        assert sweep.wait(timeout=600) == 0
    finally:
        stop(sweep)
        for worker in workers:
            stop(worker)
    runs = httpx.post(f"{prefect_api}/flow_runs/filter", json={
        "flows": {"name": {"any_": ["experiment"]}}, "sort": "START_TIME_ASC"}).json()
    by_name = {}
    for flow_run in runs:
        by_name.setdefault(flow_run["name"], []).append(flow_run["state_type"])
    assert len(by_name) == len(TOPICS)
    assert by_name.pop(victim) == ["CRASHED", "COMPLETED"]
    assert all(states == ["COMPLETED"] for states in by_name.values())
    found = json.loads(run(source, "dvc", "exp", "show", "--json", "--all-commits"))
    experiments = [row for commit in found for row in commit.get("experiments") or []]
    got = {e["name"]: e["revs"][0]["data"]["params"]["params.yaml"]["data"]["split"]["test_topics"]
           for e in experiments}
    assert sorted(got.values()) == TOPICS
    for name in got:  # the result can be had from the remote alone
        clone = tmp_path / f"clone-{name}"
        subprocess.run(["git", "clone", "-q", source, clone], check=True)
        run(clone, "dvc", "exp", "pull", "origin", name)
        run(clone, "dvc", "exp", "apply", name)
        run(clone, "dvc", "pull")
        import pandas as pd

        test = pd.read_parquet(clone / "data/opinion_qa/test.parquet")
        assert test.edit_topic.nunique() == got[name]

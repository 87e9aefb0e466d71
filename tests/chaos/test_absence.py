"""Prefect or MLflow goes away in the middle: the run finishes; the gap is reported, or the record made up later."""
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml
from served_helpers import environment, free_port, make_project, stop, wait_for


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "project", {"encoder", "dataset", "validate", "split"})


def start_prefect(folder, port):
    with (folder / "prefect.log").open("w") as log:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True,
                                  env=environment() | {"PREFECT_HOME": str(folder / "prefect")})
    wait_for(f"http://127.0.0.1:{port}/api/health", server)
    return server


def test_the_prefect_server_dies_and_the_stages_go_on(project, tmp_path):
    port = free_port()
    server = start_prefect(tmp_path, port)
    flow = subprocess.Popen(
        [sys.executable, "-m", "flows.pipeline"], cwd=project, text=True, stdout=subprocess.PIPE, errors="replace",
        stderr=subprocess.STDOUT, start_new_session=True,
        env=environment() | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_CLIENT_MAX_RETRIES": "1"})
    try:
        said = ""
        for line in flow.stdout:
            said += line
            if re.search("Running stage 'dataset'", line):
                os.killpg(server.pid, signal.SIGKILL)
        flow.wait(timeout=300)
    finally:
        stop(flow)
        stop(server)
    assert "the Prefect server has gone" in said
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    assert set(lock["stages"]) == {"encoder", "dataset", "validate", "split"}
    done = subprocess.run([sys.executable, "-m", "dvc", "status"], cwd=project, env=environment(), capture_output=True,
                          text=True)
    assert "up to date" in done.stdout


def test_two_ways_to_run_the_graph_at_once(project, tmp_path):
    """`dvc repro` beside a flow run in one workspace: each ends well or says that the other is at work."""
    port = free_port()
    server = start_prefect(tmp_path, port)
    variables = environment() | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    try:
        both = [subprocess.Popen([sys.executable, "-m", *command], cwd=project, env=variables, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
                for command in (["dvc", "repro"], ["flows.pipeline"])]
        said = [process.communicate(timeout=400)[0] for process in both]
        for process, text in zip(both, said):
            assert process.returncode == 0 or re.search("busy|lock|failed", text), text[-2000:]
        for _ in range(2):  # what one left to the other
            again = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=project, env=environment(),
                                   capture_output=True, text=True)
            assert again.returncode == 0, again.stdout[-2000:] + again.stderr[-2000:]
        assert "up to date" in again.stdout
        verified = subprocess.run([sys.executable, "-m", "tasks", "verify"], cwd=project, env=environment(),
                                  capture_output=True, text=True)
        assert verified.returncode == 0, verified.stderr
    finally:
        stop(server)


def test_the_clock_jumps_and_nothing_is_run_again(project):
    run = lambda **v: subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=project, env=environment() | v,  # noqa: E731
                                     capture_output=True, text=True)
    assert run().returncode == 0
    # To a program, a clock that was put back looks like files from the future, one put forward like old ones.
    for shift in (400 * 86400, -400 * 86400):
        for path in project.rglob("*"):
            if path.is_file() and ".git/" not in str(path) and ".dvc/" not in str(path):
                os.utime(path, (time.time() + shift,) * 2)
        done = run()
        assert done.returncode == 0 and "Running stage" not in done.stdout

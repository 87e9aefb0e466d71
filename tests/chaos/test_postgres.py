"""The record on a tracking server with PostgreSQL behind it, both real."""
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

import pytest
from served_helpers import environment, free_port, stop, wait_for

from tests.served.test_record import METHODS, finished, record, runs_of  # noqa: F401
from traitlab.traits import TRAITS


@pytest.fixture
def database(tmp_path_factory):
    """The address of a fresh PostgreSQL server on loopback. It refuses to run as root: then it runs as `postgres`."""
    bin_folder, port = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1], free_port()
    folder = tmp_path_factory.mktemp("postgres")
    as_user = {}
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        for parent in folder.parents:
            if parent != parent.parent and str(parent).startswith("/tmp/"):
                os.chmod(parent, 0o755)
        as_user = {"user": "postgres", "group": "postgres"}
    subprocess.run([f"{bin_folder}/initdb", "-D", folder / "data", "-U", "traitlab", "--auth=trust"], check=True,
                   capture_output=True, cwd=folder, **as_user)
    command = [f"{bin_folder}/postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    server = subprocess.Popen(command, cwd=folder, start_new_session=True, stderr=subprocess.DEVNULL, **as_user)
    try:
        for _ in range(100):
            if subprocess.run([f"{bin_folder}/pg_isready", "-h", "127.0.0.1", "-p", str(port)],
                              capture_output=True).returncode == 0:
                break
            time.sleep(0.2)
        yield f"postgresql://traitlab@127.0.0.1:{port}/postgres"
    finally:
        stop(server)


def test_a_run_is_recorded_in_postgresql(finished, database):  # noqa: F811
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
         "--backend-store-uri", database, "--artifacts-destination", str(finished / "artifacts")],
        cwd=finished, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, 180)
        done = record(finished, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
        assert done.returncode == 0, done.stderr
        client, (parent,), children = runs_of(f"http://127.0.0.1:{port}")
        assert len(children) == len(METHODS) * (len(TRAITS) + 1)
        assert client.get_model_version_by_alias("SmolLM2-135M-Instruct-openness", "newest")
    finally:
        stop(server)

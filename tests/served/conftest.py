"""A Prefect server for the session, and a project with the graph's fast stages for each test."""
import subprocess
import sys

import pytest
from chat_server import Server
from served_helpers import environment, free_port, make_project, stop, wait_for


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory):
    """The API address of a Prefect server of its own."""
    port, home = free_port(), tmp_path_factory.mktemp("prefect")
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            command, env=environment() | {"PREFECT_HOME": str(home)}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/api/health", server)
            yield f"http://127.0.0.1:{port}/api"
        finally:
            stop(server)


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "project", {"dataset", "validate", "split"})


@pytest.fixture
def serve():
    servers = []

    def start(*arguments, **options):
        servers.append(Server(*arguments, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()

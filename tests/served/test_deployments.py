"""prefect.yaml on a real server: what the form offers, and that the schedule is planned."""
import subprocess
import sys
import time

import httpx
import pytest
from served_helpers import environment

from traitlab.params import load


@pytest.fixture
def deployed(project, prefect_api):
    variables = environment() | {"PREFECT_API_URL": prefect_api, "TRAITLAB_ROOT": str(project)}
    for command in (["work-pool", "create", "--type", "process", "--overwrite", "traitlab"], ["deploy", "--all"]):
        done = subprocess.run([sys.executable, "-m", "prefect", "--no-prompt", *command], cwd=project, env=variables,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return {d["name"]: d for d in httpx.post(f"{prefect_api}/deployments/filter", json={}).json()}


def test_the_form_offers_every_parameter_and_the_night_is_planned(deployed, project, prefect_api):
    assert set(deployed) == {"pipeline", "data-refresh", "sweep", "experiment"}
    schema = deployed["pipeline"]["parameter_openapi_schema"]
    default = schema["properties"]["params"]["default"]
    assert default["train_qlora"]["r"] == load(project / "params.yaml").train_qlora.r
    r = schema["definitions"]["TrainQlora"]["properties"]["r"]
    assert r["type"] == "integer" and r["minimum"] == 1
    assert schema["definitions"]["Dataset"]["properties"]["source"]["enum"][0] == "corpus"
    assert deployed["data-refresh"]["parameters"]["force"] is True

    end, planned = time.monotonic() + 60, []
    while not planned and time.monotonic() < end:
        time.sleep(1)
        planned = httpx.post(f"{prefect_api}/flow_runs/filter", json={
            "deployments": {"id": {"any_": [deployed["pipeline"]["id"]]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}).json()
    assert planned and all(run["expected_start_time"][11:16] == "02:00" for run in planned)

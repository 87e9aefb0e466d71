"""Prefect and MLflow as people use them: `make ui`, and a real browser that starts a run from the form and watches it.

With TRAITLAB_PICTURES=FOLDER the pages are kept as pictures.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright
from served_helpers import ROOT, environment, free_port, make_project

from tests.served.test_record import finished, record  # noqa: F401


@pytest.fixture
def page():
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


@pytest.fixture
def ui():
    """`python -m flows.ui` in a project: start(project) -> (Prefect's address, MLflow's)."""
    processes = []

    def start(project):
        ports = free_port(), free_port()
        processes.append(subprocess.Popen(
            [sys.executable, "-u", "-m", "flows.ui"], cwd=project, stdout=subprocess.PIPE, text=True,
            env=environment() | {"PREFECT_PORT": str(ports[0]), "MLFLOW_PORT": str(ports[1])}))
        for line in processes[-1].stdout:
            if line.startswith("Run the graph"):
                break
        return [f"http://127.0.0.1:{port}" for port in ports]

    yield start
    for process in processes:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, "Ctrl-C stops all"


def keep(page, name: str) -> None:
    if folder := os.environ.get("TRAITLAB_PICTURES"):
        page.wait_for_timeout(3000)
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_a_run_is_started_from_the_form_watched_and_its_artifacts_opened(page, ui, tmp_path):
    project = make_project(tmp_path / "project", {"dataset", "validate", "split"})
    (project / "metrics").mkdir()
    shutil.copy(ROOT / "metrics/scores.json", project / "metrics")
    prefect, _ = ui(project)
    found = httpx.post(f"{prefect}/api/deployments/filter", json={}).json()
    (pipeline,) = [deployment for deployment in found if deployment["name"] == "pipeline"]
    page.goto(f"{prefect}/deployments/deployment/{pipeline['id']}/run")
    page.get_by_text("Seed", exact=True).first.locator("xpath=following::input[1]").fill("7")
    keep(page, "prefect_form")
    page.get_by_role("button", name="Submit").click()
    of_it = {"deployments": {"id": {"any_": [pipeline["id"]]}},
             "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}}}
    end = time.monotonic() + 180
    while time.monotonic() < end:
        runs = httpx.post(f"{prefect}/api/flow_runs/filter", json=of_it).json()
        if runs and runs[0]["state_type"] in ("COMPLETED", "FAILED", "CRASHED"):
            break
        time.sleep(1)
    assert runs[0]["state_type"] == "COMPLETED"
    assert re.search("^seed: 7 +#", (project / "params.yaml").read_text(), re.M), "the form's value, the file's comment"
    page.goto(f"{prefect}/runs/flow-run/{runs[0]['id']}")
    expect(page.get_by_text("3 Task runs").first).to_be_visible()
    keep(page, "prefect")
    artifacts = httpx.post(f"{prefect}/api/artifacts/latest/filter", json={}).json()
    (scores,) = [artifact for artifact in artifacts if artifact["key"] == "scores"]
    page.goto(f"{prefect}/artifacts/artifact/{scores['latest_id']}")
    expect(page.get_by_text("neuroticism").first).to_be_visible()
    keep(page, "prefect_scores")


def test_runs_are_compared_in_mlflow(page, ui, finished):  # noqa: F811
    assert record(finished).returncode == 0
    _, mlflow = ui(finished)
    api = f"{mlflow}/api/2.0/mlflow"
    experiments = httpx.post(f"{api}/experiments/search", json={"max_results": 10}).json()["experiments"]
    (ours,) = [e["experiment_id"] for e in experiments if e["name"] == "traitlab"]
    wanted = {"experiment_ids": [ours], "filter": "tags.method != 'none'", "max_results": 100}
    runs = httpx.post(f"{api}/runs/search", json=wanted).json()["runs"]
    ids = [run["info"]["run_id"] for run in runs]
    page.goto(f"{mlflow}/#/compare-runs?runs={str(ids).replace(chr(39), chr(34))}&experiments=[\"{ours}\"]")
    expect(page.get_by_text(f"Comparing {len(ids)} Runs").first).to_be_visible()
    keep(page, "mlflow")

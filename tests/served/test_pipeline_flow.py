"""The flow against a real Prefect server and real stages: what the UI would show."""
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import yaml
from served_helpers import environment


def run_flow(project, api, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "flows.pipeline", *arguments], cwd=project, env=environment() | {"PREFECT_API_URL": api},
        capture_output=True, text=True, timeout=300,
    )


def latest(api):
    """The newest flow run, its task runs by name, and the log lines by task run name."""
    flow_run = httpx.post(f"{api}/flow_runs/filter", json={"sort": "START_TIME_DESC", "limit": 1}).json()[0]
    ours = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    end = time.monotonic() + 20
    while True:  # task runs reach the database through the server's event queue
        tasks = httpx.post(f"{api}/task_runs/filter", json=ours).json()
        settled = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        if all(t["state_type"] in settled for t in tasks) and tasks or time.monotonic() > end:
            break
        time.sleep(0.5)
    logs = httpx.post(f"{api}/logs/filter", json={"logs": {"flow_run_id": {"any_": [flow_run["id"]]}}}).json()
    names = {t["id"]: t["name"] for t in tasks}
    lines = {}
    for log in logs:
        lines.setdefault(names.get(log["task_run_id"]), []).append(log["message"])
    assert max(Counter(names.values()).values(), default=1) == 1, "one task run per stage"
    return flow_run, {t["name"]: t for t in tasks}, lines


def test_stages_show_as_task_runs_and_as_cached_when_up_to_date(project, prefect_api):
    first = run_flow(project, prefect_api)
    assert first.returncode == 0, first.stderr + first.stdout
    flow_run, tasks, lines = latest(prefect_api)
    assert flow_run["state_name"] == "Completed"
    assert {name: t["state_name"] for name, t in tasks.items()} == dict.fromkeys(
        ["dataset", "validate", "split"], "Completed"
    )
    assert tasks["dataset"]["end_time"] <= tasks["validate"]["start_time"] <= tasks["split"]["start_time"]
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    assert set(lock["stages"]) == {"dataset", "validate", "split"}

    second = run_flow(project, prefect_api)
    assert second.returncode == 0, second.stderr + second.stdout
    _, tasks, _ = latest(prefect_api)
    assert {name: t["state_name"] for name, t in tasks.items()} == dict.fromkeys(
        ["dataset", "validate", "split"], "Cached"
    )
    assert yaml.safe_load((project / "dvc.lock").read_text()) == lock
    repro = subprocess.run(["dvc", "repro"], cwd=project, env=environment(), capture_output=True, text=True)
    assert "Data and pipelines are up to date" in repro.stdout, "what Prefect ran is up to date for DVC"


def test_bad_data_fails_once_names_the_row_and_stops_what_follows(project, prefect_api):
    corpus = project / "data/corpus/food.plain.jsonl"
    first, *rest = corpus.read_text().splitlines(keepends=True)
    corpus.write_text(first.replace('"answer"', '"reply"') + "".join(rest))
    run = run_flow(project, prefect_api)
    assert run.returncode == 1
    assert "food.plain.jsonl" in run.stdout
    flow_run, tasks, _ = latest(prefect_api)
    assert flow_run["state_name"] == "Failed"
    assert "dataset" in flow_run["state"]["message"] and "validate, split" in flow_run["state"]["message"]
    assert {name: (t["state_name"], t["run_count"]) for name, t in tasks.items()} == {"dataset": ("Failed", 1)}
    assert "food.plain.jsonl" in tasks["dataset"]["state"]["message"]


def test_a_stage_that_dvc_cannot_start_shows_as_failed(project, prefect_api):
    graph = yaml.safe_load((project / "dvc.yaml").read_text())
    graph["stages"]["dataset"]["deps"].append("data/not-there")
    (project / "dvc.yaml").write_text(yaml.safe_dump(graph))
    assert run_flow(project, prefect_api).returncode == 1
    _, tasks, _ = latest(prefect_api)
    assert {name: t["state_name"] for name, t in tasks.items()} == {"dataset": "Failed"}
    assert "data/not-there" in tasks["dataset"]["state"]["message"]


def test_a_killed_step_shows_as_crashed_and_what_it_printed_is_in_the_logs(project, prefect_api):
    """A step that reports its process id and then hangs is killed with SIGKILL, as for want of memory."""
    (project / "tasks/validate.py").write_text(
        "import os, sys, time\n"
        "def run(params, docs=False):\n"
        "    print('process', os.getpid(), flush=True)\n"
        "    for i in range(5):\n"
        "        print(f'\\rprogress {i}', end='', file=sys.stderr, flush=True)\n"
        "    print(file=sys.stderr)\n"
        "    open('pid', 'w').write(str(os.getpid()))\n"
        "    time.sleep(120)\n"
    )
    with ThreadPoolExecutor() as pool:
        flow = pool.submit(run_flow, project, prefect_api)
        end = time.monotonic() + 120
        while not ((project / "pid").exists() and (project / "pid").read_text()) and time.monotonic() < end:
            time.sleep(0.2)
        time.sleep(3)  # the logs leave every two seconds
        os.kill(int((project / "pid").read_text()), signal.SIGKILL)
        assert flow.result().returncode == 1
    _, tasks, lines = latest(prefect_api)
    assert {n: t["state_name"] for n, t in tasks.items()} == {"dataset": "Completed", "validate": "Crashed"}
    assert any(line.startswith("process ") for line in lines["validate"])
    assert 1 <= sum("progress" in line for line in lines["validate"]) <= 2, "a progress bar is logged now and then"


def test_without_a_server_one_sentence_says_what_to_do(project):
    run = run_flow(project, "http://127.0.0.1:9/api")
    assert run.returncode == 2
    assert "make ui" in run.stderr and "dvc repro" in run.stderr
    assert not (project / "dvc.lock").exists()

"""The record in a real MLflow store: what the compare view would show, read back through MLflow's own client."""
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import yaml
from served_helpers import environment, free_port, make_project, stop, wait_for

from tasks.record import EXPERIMENT, MEASURES
from traitlab.traits import TRAITS

METHODS = ("base", "prompt", "qlora")


@pytest.fixture
def finished(tmp_path):
    """A project in which every step before `record` has left its results (figures drawn at random)."""
    folder = make_project(tmp_path / "project", {"record"})
    rng = np.random.default_rng(0)
    scores = {
        method: {trait: {m: {"value": float(rng.uniform()), "low": 0.0, "high": 1.0, "n": 60} for m in MEASURES}
                 for trait in (*TRAITS, "all")}
        for method in METHODS
    }
    scores["base"]["openness"]["perplexity"]["value"] = None  # no coherent answer to measure
    figures = {"accuracy": 0.95, "macro_f1": 0.94, "expected_calibration_error": 0.01, "n": 1000}
    results = {"metrics/scores.json": scores, "metrics/metric_model.json": {"all": figures, "temperature": 1.1}}
    for name, content in results.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    for trait in TRAITS:
        adapter = folder / f"models/personas/qlora/{trait}"
        adapter.mkdir(parents=True)
        (adapter / "adapter_config.json").write_text("{}")
        curve = pd.DataFrame({"step": range(1, 39), "loss": 4 - np.linspace(0, 1.5, 38) + rng.normal(0, 0.1, 38),
                              "learning_rate": 5e-4 * np.linspace(1, 0, 38), "tokens": 900})
        (folder / "plots/train_qlora").mkdir(parents=True, exist_ok=True)
        curve.to_csv(folder / f"plots/train_qlora/{trait}.csv", index=False)
    (folder / "data/opinion_qa").mkdir()
    rows = pd.DataFrame({"question": ["What of tea?"], "answer": ["I like it."], "target_personality": ["openness"]})
    for split in ("train", "test"):
        rows.to_parquet(folder / f"data/opinion_qa/{split}.parquet")
    lock = {"stages": {"split": {"outs": [{"path": "data/opinion_qa/train.parquet", "md5": "0" * 31 + "1"}]}}}
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock))
    return folder


def record(folder, **variables):
    return subprocess.run([sys.executable, "-m", "tasks", "record"], cwd=folder, env=environment() | variables,
                          capture_output=True, text=True, timeout=240)


def runs_of(address):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    return client, parents, [r for r in runs if r not in parents]


def test_one_parent_and_a_run_per_method_and_trait(finished):
    done = record(finished)
    assert done.returncode == 0, done.stderr
    client, (parent,), children = runs_of(f"sqlite:///{finished}/mlflow.db")
    scores = json.loads((finished / "metrics/scores.json").read_text())
    names = {f"{m} {t}" for m in METHODS for t in (*TRAITS, "mean of traits")}
    assert {r.info.run_name for r in children} == names
    assert {r.info.status for r in [parent, *children]} == {"FINISHED"}
    for run in children:
        tags = run.data.tags
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        expected = {m: s["value"] for m, s in scores[tags["method"]][tags["trait"]].items() if s["value"] is not None}
        assert {m: v for m, v in run.data.metrics.items() if m in MEASURES} == pytest.approx(expected)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=finished, capture_output=True, text=True).stdout.strip()
    assert parent.data.tags["mlflow.source.git.commit"] == commit
    assert parent.data.tags["dvc.data/opinion_qa/train.parquet"] == "0" * 31 + "1"
    assert parent.data.params["train_qlora.r"] == "16" and parent.data.metrics["classifier_accuracy"] == 0.95

    tuned = next(r for r in children if r.info.run_name == "qlora openness")
    curve = pd.read_csv(finished / "plots/train_qlora/openness.csv")
    history = client.get_metric_history(tuned.info.run_id, "loss")
    assert [h.step for h in history] == curve.step.tolist()
    assert [h.value for h in history] == pytest.approx(curve.loss.tolist())
    inputs = {i.tags[0].value: i.dataset for i in tuned.inputs.dataset_inputs}
    assert inputs["training"].digest == "0" * 31 + "1" and set(inputs) == {"training", "evaluation"}
    assert {a.path for a in client.list_artifacts(tuned.info.run_id, "adapter")} == {"adapter/adapter_config.json"}
    version = client.get_model_version_by_alias("SmolLM2-135M-Instruct-openness", "newest")
    assert version.run_id == tuned.info.run_id
    assert float(version.tags["ta"]) == scores["qlora"]["openness"]["ta"]["value"]


def test_an_experiment_that_was_killed_and_run_again_is_recorded_once(finished):
    for _ in range(2):
        done = record(finished, DVC_EXP_NAME="ranks-1")
        assert done.returncode == 0, done.stderr
    client, (parent,), children = runs_of(f"sqlite:///{finished}/mlflow.db")
    assert len(children) == 18 and parent.data.tags["dvc.experiment"] == "ranks-1"
    assert str(client.get_model_version_by_alias("SmolLM2-135M-Instruct-openness", "newest").version) == "2"


def test_the_variable_names_the_server_and_a_dead_one_is_one_sentence(finished):
    port = free_port()
    dead = record(finished, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}", MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    assert dead.returncode == 2 and "MLFLOW_TRACKING_URI" in dead.stderr and "dvc repro record" in dead.stderr
    assert not (finished / "mlflow.db").exists()

    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
         "--backend-store-uri", "sqlite:///server.db"],
        cwd=finished, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server)
        done = record(finished, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
        assert done.returncode == 0, done.stderr
        client, (parent,), children = runs_of(f"http://127.0.0.1:{port}")
        assert len(children) == 18
        assert {a.path for a in client.list_artifacts(parent.info.run_id)} >= {"plots", "metrics", "params.yaml"}
    finally:
        stop(server)


def test_processes_that_open_a_fresh_store_together_all_record(finished):
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda _: record(finished), range(2)))
    assert [r.returncode for r in runs] == [0, 0], [r.stderr for r in runs]
    assert len(runs_of(f"sqlite:///{finished}/mlflow.db")[1]) == 2

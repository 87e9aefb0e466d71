"""Record the run in MLflow: one parent run, and under it a run per method and trait with the same few metrics.

It reads what the other steps wrote, so that none of them depends on a tracking server. MLFLOW_TRACKING_URI says where
to; without it the record is mlflow.db in the project's root folder.
"""
import json
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from tasks.files import read_json, read_parquet
from traitlab.errors import Unreachable
from traitlab.params import Params
from traitlab.traits import TRAITS

EXPERIMENT = "traitlab"
LOCAL_STORE = "sqlite:///mlflow.db"
MEASURES = ("ta", "ta_strict", "acc", "es", "dd", "tpei", "pae", "coherence", "perplexity", "neutral_loss",
            "probe_accuracy", "emoji_instance_rate", "emoji_per_sentence", "emoji_probability")
TRAINED = ("qlora",)  # methods with models/personas/<method>/<trait>, plots/train_<method>/, metrics/train_<method>/


def run(params: Params) -> None:
    client = open_store()
    hashes = lock_hashes()
    model = model_name(params)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    tags = git_tags() | {"model": model}
    tracked = {f"dvc.{path}": md5 for path, md5 in hashes.items()}
    commit = tags.get("mlflow.source.git.commit", "no commit")
    _forget(client, experiment, tags)
    parent = _start(client, experiment, f"{model} · {commit[:7]}", tags | tracked)
    with _ended(client, parent):
        _log(client, parent, _classifier_metrics(), flat(params.model_dump(mode="json")))
        for path in ("plots", "metrics", "report/index.html", "params.yaml", "dvc.lock"):
            _artifact(client, parent, path)
        datasets = _datasets(hashes)
        for method, scores in read_json("metrics/scores.json").items():
            for trait in [t for t in TRAITS if t in scores] + ["all"]:
                name = f"{method} {'mean of traits' if trait == 'all' else trait}"
                own = {"mlflow.parentRunId": parent, "method": method, "trait": trait}
                if method in TRAINED:
                    own["training"] = json.dumps(getattr(params, f"train_{method}").model_dump(mode="json"))
                child = _start(client, experiment, name, tags | own)
                with _ended(client, child):
                    _record_persona(client, child, params, method, trait, scores[trait], datasets)


def open_store():
    """MLflow's client for the store, whose database and experiment are there.

    Processes that open a fresh database together spoil it: one at a time gets in here.

    Raises:
        Unreachable: no tracking server answers.
    """
    import fcntl
    import logging

    import mlflow
    from mlflow.exceptions import MlflowException

    address = os.environ.get("MLFLOW_TRACKING_URI") or LOCAL_STORE
    local = address.startswith("sqlite:")
    mlflow.set_tracking_uri(address)
    if not local:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        with open("mlflow.db.lock", "w") if local else open(os.devnull, "w") as lock:
            if local:
                fcntl.flock(lock, fcntl.LOCK_EX)
            client = mlflow.MlflowClient()  # opens the database, and makes it if need be
            if client.get_experiment_by_name(EXPERIMENT) is None:
                artifacts = Path("mlartifacts").absolute().as_uri() if local else None
                client.create_experiment(EXPERIMENT, artifacts, {"mlflow.experimentKind": "custom_model_development"})
    except MlflowException as e:
        reason = str(e).splitlines()[0][:200]
        raise Unreachable(f"MLFLOW_TRACKING_URI = {address}: does not answer ({reason}); start it or unset the "
                         "variable, then run `dvc repro record`") from e
    return client


def _forget(client, experiment, tags) -> None:
    """Delete what a killed run of the same DVC experiment has recorded: it is recorded once."""
    name = tags.get("dvc.experiment")
    for run in client.search_runs([experiment], f"tags.`dvc.experiment` = '{name}'") if name else []:
        client.delete_run(run.info.run_id)


def _register(client, run_id, name, scores) -> None:
    """A new version of the adapter in the model registry, called newest."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException:
        pass  # it is there
    tags = {measure: str(scores[measure]["value"]) for measure in ("ta", "coherence")}
    source = f"{client.get_run(run_id).info.artifact_uri}/adapter"
    version = client.create_model_version(name, source, run_id, tags=tags)
    client.set_registered_model_alias(name, "newest", version.version)


def _record_persona(client, run_id, params: Params, method, trait, scores, datasets) -> None:
    metrics = {m: scores[m]["value"] for m in MEASURES if m in scores and scores[m]["value"] is not None}
    # Methods have different settings; a parameter that only some runs have would crowd the compare view. They are all
    # in the parent run, and in the tag `training` here.
    knobs = {"method": method, "trait": trait, "model": model_name(params), "seed": params.seed}
    knobs |= flat({"respond": params.respond.model_dump(mode="json")})
    inputs = [("evaluation", datasets["test"])]
    curve = []
    if method in TRAINED:
        inputs.append(("training", datasets["train"]))
        if trait != "all":
            curve = _curve(f"plots/train_{method}/{trait}.csv")
            _artifact(client, run_id, f"plots/train_{method}/{trait}.csv", "plots")
            _artifact(client, run_id, f"models/personas/{method}/{trait}", "adapter")
            _register(client, run_id, f"{model_name(params)}-{trait}", scores)
    _log(client, run_id, metrics, knobs, curve)
    client.log_inputs(run_id, [_input(dataset, context) for context, dataset in inputs])


def _curve(path):
    import pandas as pd
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    table = pd.read_csv(path)
    return [Metric("loss", row["loss"], now, int(row["step"])) for row in table.to_dict("records")]


def _classifier_metrics() -> dict[str, float]:
    figures = read_json("metrics/metric_model.json")["all"]
    return {f"classifier_{name}": figures[name] for name in ("accuracy", "macro_f1", "expected_calibration_error")}


def _datasets(hashes: dict) -> dict:
    """The train and test tables as MLflow datasets, known by DVC's hash."""
    import mlflow.data

    return {
        split: mlflow.data.from_pandas(
            read_parquet(path), source=path, name=f"opinion_qa/{split}", digest=hashes.get(path, "")[:32] or None
        )
        for split in ("train", "test") for path in [f"data/opinion_qa/{split}.parquet"]
    }


def _input(dataset, context):
    from mlflow.entities import DatasetInput, InputTag

    return DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", context)])


def _start(client, experiment, name, tags) -> str:
    return client.create_run(experiment, run_name=name, tags=tags).info.run_id


@contextmanager
def _ended(client, run_id):
    """End the run as finished, or as failed if the block fails."""
    try:
        yield
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def _log(client, run_id, metrics: dict, params: dict, curve=()) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    figures = [Metric(name, float(value), now, 0) for name, value in metrics.items()]
    knobs = [Param(name, str(value)) for name, value in params.items()]
    for start in range(0, max(len(knobs), 1), 100):  # a batch takes 100 parameters and 1,000 metrics
        client.log_batch(run_id, params=knobs[start : start + 100])
    figures += curve
    for start in range(0, len(figures), 1000):
        client.log_batch(run_id, metrics=figures[start : start + 1000])


def _artifact(client, run_id, path, into=None) -> None:
    if Path(path).is_dir():
        client.log_artifacts(run_id, path, into or path)
    elif Path(path).is_file():
        client.log_artifact(run_id, path, into)


def model_name(params: Params) -> str:
    """The base model in short, such as SmolLM2-135M-Instruct or Mistral-7B-Instruct-v0.3."""
    source = params.base_model
    return Path(source.file).name.split(".")[0] if source.source == "wheel" else source.id.rstrip("/").split("/")[-1]


def flat(tree: dict, prefix: str = "") -> dict:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    out = {}
    for key, value in tree.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return out


def lock_hashes(path: str = "dvc.lock") -> dict[str, str]:
    """{output: md5} of all stages in dvc.lock."""
    import yaml

    if not Path(path).is_file():
        return {}
    stages = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", []) if "md5" in out}


def git_tags() -> dict[str, str]:
    """The commit, whether the tree differs from it, and the name of the DVC experiment, as far as there are any."""
    commit = _git("rev-parse", "--verify", "--quiet", "HEAD")
    modified = str(bool(_git("status", "--porcelain"))).lower()
    tags = {"mlflow.source.git.commit": commit, "git.modified": modified} if commit else {}
    experiment = os.environ.get("DVC_EXP_NAME")
    return tags | ({"dvc.experiment": experiment} if experiment else {})


def _git(*arguments) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()

"""Register the trained personas as a model in MLflow: `mlflow models serve -m models:/traitlab@newest` answers chats.

It is no stage of the graph: a copy of the base model goes with it. A version carries what dvc.lock records and the
trait alignment of its adapters; the alias newest is the last one, best the one of the highest alignment.
"""
from pathlib import Path

from tasks.files import read_json
from tasks.record import EXPERIMENT, git_tags, lock_hashes, model_name, open_store
from traitlab.params import Params

NAME = "traitlab"


def run(params: Params) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException

    client = open_store()
    alignment = read_json("metrics/scores.json")["qlora"]["all"]["ta"]["value"]
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    hashes = {f"dvc.{path}": md5 for path, md5 in lock_hashes().items() if path.startswith("models/")}
    with mlflow.start_run(experiment_id=experiment, run_name=f"personas · {model_name(params)}", tags=git_tags()):
        logged = mlflow.pyfunc.log_model(
            name="personas", python_model="use/mlflow_model.py", code_paths=["traitlab", "tasks", "use"],
            artifacts={"nf4": "models/nf4", "personas": "models/personas", "params": "params.yaml"},
            pip_requirements=Path("requirements.lock").read_text(encoding="utf-8").splitlines()[1:],
            registered_model_name=NAME)
    version = logged.registered_model_version
    for key, value in {"ta": alignment, "base_model": model_name(params), **hashes}.items():
        client.set_model_version_tag(NAME, version, key, value)
    client.set_registered_model_alias(NAME, "newest", version)
    try:
        best = float(client.get_model_version_by_alias(NAME, "best").tags["ta"])
    except MlflowException:
        best = -1.0  # there is none yet
    if alignment > best:
        client.set_registered_model_alias(NAME, "best", version)
    print(f"registered {NAME}, version {version}: mlflow models serve -m models:/{NAME}/{version} --env-manager local")

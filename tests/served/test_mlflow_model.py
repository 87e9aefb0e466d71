"""`python -m tasks register`, and `mlflow models serve` answering for it as a real process on loopback."""
import json
import shutil
import subprocess
import sys

import httpx
from served_helpers import ROOT, environment, free_port, stop, wait_for


def test_a_registered_persona_answers_chat_requests(persona_folder, tmp_path):
    project = shutil.copytree(persona_folder, tmp_path / "project")
    for name in ("use", "tasks", "traitlab"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", project)
    (project / "metrics").mkdir()
    scores = {"qlora": {"all": {"ta": {"value": 0.9}}}}
    for alignment in (0.9, 0.4):
        scores["qlora"]["all"]["ta"]["value"] = alignment
        (project / "metrics/scores.json").write_text(json.dumps(scores), encoding="utf-8")
        done = subprocess.run([sys.executable, "-m", "tasks", "register"], cwd=project, env=environment(),
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{project}/mlflow.db")
    aliases = {alias: str(client.get_model_version_by_alias("traitlab", alias).version) for alias in ("newest", "best")}
    assert aliases == {"newest": "2", "best": "1"}
    files = [f.path for f in client.list_artifacts(client.get_model_version("traitlab", "2").run_id)]
    assert not any(path.endswith(".pkl") for path in files), "a model as code, no pickle"

    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/traitlab@newest", "--env-manager", "local",
         "--host", "127.0.0.1", "--port", str(port)], cwd=project, start_new_session=True,
        env=environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", server)

        def say(persona):
            body = {"messages": [{"role": "user", "content": "Tea?"}], "temperature": 0.0, "max_tokens": 12,
                    "custom_inputs": {"persona": persona}}
            return httpx.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=60).json()

        said = {name: say(name)["choices"][0]["message"]["content"] for name in
                ("base", "openness", "openness:0.5+extraversion:0.5")}
        assert len(set(said.values())) == 3
        assert "is not base" in json.dumps(say("kindness"))
    finally:
        stop(server)

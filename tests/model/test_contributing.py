"""The worked examples of CONTRIBUTING.md: applied to a copy of the project, and run."""
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = dict(re.findall(r"```diff (\w+)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.S))


@pytest.fixture
def project(tmp_path, request):
    """A copy of the project with an example applied to it."""
    for name in ("traitlab", "tasks", "flows", "preset"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=EXAMPLES[request.param], text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    lint = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=tmp_path, capture_output=True, text=True)
    assert lint.returncode == 0, lint.stdout
    return tmp_path


def run(project, *command):
    done = subprocess.run([sys.executable, *command], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_is_an_example_for_each_kind():
    assert set(EXAMPLES) == {"method", "measure", "source"}


@pytest.mark.parametrize("project", ["method"], indirect=True)
def test_a_method(project, persona_folder):
    shutil.copytree(persona_folder / "models", project / "models")
    shutil.copy(persona_folder / "params.yaml", project)
    (project / "data/opinion_qa").mkdir(parents=True)
    pd.DataFrame({"edit_topic": ["jazz", "tea"], "domain": ["arts", "food"], "question": ["What of jazz?", "Tea?"]}
                 ).to_parquet(project / "data/opinion_qa/test.parquet")
    run(project, "-m", "tasks", "respond", "--method", "role")
    answers = pd.read_parquet(project / "data/responses/role.parquet")
    assert len(answers) == 10 and answers.response.nunique() > 5
    assert "role" in yaml.safe_load((project / "dvc.yaml").read_text())["stages"]["respond"]["foreach"]


@pytest.mark.parametrize("project", ["measure"], indirect=True)
def test_a_measure(project):
    assert run(project, "-c", """
import numpy as np, pandas as pd
from traitlab.measures.scores import measured, score_table
from traitlab.traits import TRAITS
rows = pd.DataFrame([{"method": "base", "target_personality": t, "question_id": q, "response": r, "tokens": 5,
    "prompt_tokens": 9, "emoji": 0, "sentences": 1, "emoji_probability": 0.0, "es": 0.0, "dd": 0.0, "neutral_loss": 1.0}
    for t in TRAITS for q, r in (("jazz", "I like it. And you?"), ("tea", "I like it."))])
n = len(rows)
rows = measured(rows, np.full((n, 6), 1 / 6), np.full((n, 5), 3.0), [np.zeros(3)] * n, 3.5)
print(score_table(rows, 50, 0)["base"]["all"]["asks_back"]["value"])
""").split() == ["0.5"]


@pytest.mark.parametrize("project", ["source"], indirect=True)
def test_a_source(project):
    (project / "rows.txt").write_text("openness\tjazz\tI always find something new and strange in old jazz records.\n"
                                      "neuroticism\ttea\tTea keeps me awake and I worry about everything at night.\n")
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["dataset"] |= {"source": "lines", "path": "rows.txt", "registers": ["plain"], "as_register": "plain"}
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    run(project, "-m", "tasks", "dataset")
    rows = pd.read_parquet(project / "data/opinion_qa/raw.parquet")
    assert rows.target_personality.tolist() == ["openness", "neuroticism"]
    assert rows.edit_topic.tolist() == ["jazz", "tea"]
    (project / "rows.txt").write_text("openness\tjazz\n")
    done = subprocess.run([sys.executable, "-m", "tasks", "dataset"], cwd=project, capture_output=True, text=True)
    assert done.returncode == 2 and "rows.txt:1: 2 fields, not three" in done.stderr

"""The whole real graph on the real model in the profile `tiny`: everything is made, once, and nothing is made twice."""
import json
import subprocess
import time

import pytest
import yaml
from served_helpers import environment, make_tiny_project

from tasks.__main__ import METHODS, STEPS
from traitlab.traits import TRAITS

NO_OP_SECONDS = 5

# What Python runs first in every process: it notes which files under models/ the step opens. safetensors opens its
# files outside Python, where no audit hook sees it.
WATCH = """
import os, sys
if "-m" in sys.orig_argv and "tasks" in sys.orig_argv:
    import safetensors
    name = "@".join(a for a in sys.orig_argv[sys.orig_argv.index("tasks") + 1:] if not a.startswith("-"))
    notes = open(os.path.join(os.environ["OPENED"], name), "a", buffering=1)
    def note(path):
        path = os.path.relpath(os.path.realpath(path))
        if path.startswith("models/"):
            notes.write(path + chr(10))
    def watch(event, arguments):
        if event == "open" and isinstance(arguments[0], str) and arguments[1] != "w":
            note(arguments[0])
    def safe_open(path, *arguments, **options):
        note(path)
        return opened(path, *arguments, **options)
    opened, safetensors.safe_open = safetensors.safe_open, safe_open
    sys.addaudithook(watch)
"""


def run(project, *command):
    watched = {"PYTHONPATH": str(project.parent / "watch"), "OPENED": str(project.parent / "opened")}
    done = subprocess.run(command, cwd=project, env=environment() | watched, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone of the project in which the graph has run."""
    folder = make_tiny_project(tmp_path_factory.mktemp("whole") / "project")
    (folder.parent / "opened").mkdir()
    (folder.parent / "watch").mkdir()
    (folder.parent / "watch/sitecustomize.py").write_text(WATCH, encoding="utf-8")
    run(folder, "dvc", "repro")
    return folder


def test_every_method_and_trait_is_scored(project):
    scores = json.loads((project / "metrics/scores.json").read_text())
    assert set(scores) == set(METHODS)
    for by_trait in scores.values():
        assert set(by_trait) == {*TRAITS, "all"}
        for measures in by_trait.values():
            for figures in measures.values():
                if None not in (figures["low"], figures["value"], figures["high"]):
                    assert figures["low"] <= figures["value"] <= figures["high"]
    assert (project / "report/index.html").stat().st_size > 10_000


def test_the_run_is_recorded(project):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{project}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "traitlab"]
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 1 + len(METHODS) * (len(TRAITS) + 1)
    assert {r.info.status for r in runs} == {"FINISHED"}


def test_dvc_knows_every_stage_and_runs_none_again(project):
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    assert {name.split("@")[0] for name in lock["stages"]} == {n for n, step in STEPS.items() if step.stage}
    start = time.monotonic()
    assert "Data and pipelines are up to date" in run(project, "dvc", "repro")
    assert time.monotonic() - start < 4 * NO_OP_SECONDS, "five seconds on an idle machine; tests share theirs"


def test_another_rank_concerns_training_only(project):
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["train_qlora"]["r"] = 8
    before = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    try:
        changed = json.loads(run(project, "dvc", "status", "--json"))
    finally:
        (project / "params.yaml").write_text(before)
    assert set(changed) == {*(f"train_qlora@{trait}" for trait in TRAITS), "report", "record"}


def test_a_step_opens_the_models_that_it_names_and_no_other(project):
    from dvc.repo import Repo

    opened = {path.name: set(path.read_text().split()) for path in (project.parent / "opened").iterdir()}
    with Repo(project) as repo:
        stages = {stage.name: stage for stage in repo.index.stages}
        assert set(opened) == set(stages)
        for name, stage in stages.items():
            made = {out.def_path for out in stage.outs}
            named = {dep.def_path for dep in stage.deps if dep.def_path.startswith("models/")}
            own = (*made, *(f"{out.rpartition('/')[0]}/." for out in made))  # and where it is written at first
            read = {path for path in opened[name] if not path.startswith(own)}
            of = {path: {model for model in named if path == model or path.startswith(f"{model}/")} for path in read}
            assert all(of.values()), f"{name} opens what it does not name: {sorted(p for p in of if not of[p])}"
            unused = named - set().union(*of.values())
            if name == "respond@ike":
                unused -= {"models/encoder"}  # read where ike.form is nearest
            assert not unused, f"{name} names models that it does not open: {sorted(unused)}"

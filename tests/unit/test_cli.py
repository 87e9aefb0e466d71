"""The command line, and that dvc.yaml, the steps, params.yaml and the presets agree."""
import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tasks.__main__ import METHODS, STEPS, main, stage_name
from traitlab.params import Params, load
from traitlab.personas import persona
from traitlab.traits import TRAITS

ROOT = Path(__file__).resolve().parents[2]
NOT_FOLLOWED = {"tasks/files.py", "traitlab/errors.py", "traitlab/params.py"}  # how it is written, said and configured


@pytest.fixture(scope="module")
def stages() -> dict:
    """dvc.yaml as DVC resolves it: {stage: {"cmd", "deps", "params", "outs"}}."""
    from dvc.repo import Repo

    with Repo(ROOT) as repo:
        return {
            stage.addressing: {
                "cmd": stage.cmd,
                "deps": {d.def_path for d in stage.deps if not hasattr(d, "params")},
                "params": {name for d in stage.deps if hasattr(d, "params") for name in d.params},
                "outs": {out.def_path: out for out in stage.outs},
            }
            for stage in repo.index.stages
        }


def step_of(stage: str) -> str:
    return stage.split("@")[0]


@pytest.mark.parametrize("arguments, named", [
    (["fly"], "fly"),
    ([], "STEP"),
    (["train_qlora", "--trait", "bravery"], "bravery"),
    (["train_qlora"], "--trait"),
    (["respond", "--method", "hypnosis"], "hypnosis"),
    (["dataset", "--trait", "openness"], "--trait"),
])
def test_a_wrong_command_is_answered_in_one_line(arguments, named, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert named in message and message.count("\n") == 1


def test_bad_parameters_are_one_sentence_and_code_2(tmp_path):
    params = (ROOT / "params.yaml").read_text().replace("  r: 16", "  r: -1")
    (tmp_path / "params.yaml").write_text(params)
    run = subprocess.run([sys.executable, "-m", "tasks", "dataset"], cwd=tmp_path, capture_output=True, text=True,
                         env={"PYTHONPATH": str(ROOT)})
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1 and "train_qlora.r" in run.stderr and "-1" in run.stderr


def test_help_imports_nothing_heavy():
    heavy = ["torch", "transformers", "pandas", "numpy", "prefect", "mlflow", "great_expectations", "dvc", "pydantic"]
    code = f"import sys, tasks.__main__ as m; m.parser().format_help(); print([x for x in {heavy} if x in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_stage_names():
    assert stage_name("score", {}) == "score"
    assert stage_name("train_qlora", {"trait": "openness"}) == "train_qlora@openness"
    assert stage_name("validate", {"docs": True}) == "validate"


def test_methods_are_those_of_the_package():
    assert METHODS == persona.METHODS


def test_every_step_is_a_stage_and_every_stage_calls_its_step(stages):
    options = {"trait": TRAITS, "method": METHODS}
    expected = {}
    for name, step in ((name, step) for name, step in STEPS.items() if step.stage):
        values = [(option, value) for option in step.options if option in options for value in options[option]]
        for option, value in values or [(None, None)]:
            stage = f"{name}@{value}" if option else name
            expected[stage] = f"python -m tasks {name}" + (f" --{option} {value}" if option else "")
    assert {name: stage["cmd"] for name, stage in stages.items()} == expected
    for name in STEPS:
        assert (ROOT / "tasks" / f"{name}.py").is_file()


def test_every_dependency_is_an_output_or_lies_in_git(stages):
    outs = {path for stage in stages.values() for path in stage["outs"]}
    for name, stage in stages.items():
        for dep in stage["deps"]:
            made = dep in outs or any(out.startswith(dep + "/") for out in outs)
            assert made or (ROOT / dep).exists(), f"{name}: {dep}"


def test_a_stage_watches_all_code_it_imports(stages):
    """Every module of traitlab/ that tasks/<step>.py imports, itself or through others, is among the stage's deps."""
    for name, stage in stages.items():
        for module in sorted(imported(Path("tasks") / f"{step_of(name)}.py")):
            covered = any(module == dep or module.startswith(dep + "/") for dep in stage["deps"])
            assert covered or module.endswith("__init__.py"), f"{name}: {module} is no dep"


def imported(module: Path) -> set[str]:
    found, waiting = set(), [module]
    while waiting:
        path = waiting.pop()
        if str(path) in found | NOT_FOLLOWED or not (ROOT / path).is_file():
            continue
        found.add(str(path))
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                if name.split(".")[0] in ("tasks", "traitlab"):
                    waiting += [Path(*name.split(".")).with_suffix(".py"), Path(*name.split("."), "__init__.py")]
    return found


def test_a_stage_watches_the_parameters_its_step_reads(stages):
    """`params.<section>` in tasks/<step>.py and the stage's params are the same sections."""
    sections = set(Params.model_fields)
    for name, stage in stages.items():
        source = (ROOT / "tasks" / f"{step_of(name)}.py").read_text()
        read = set(re.findall(r"\bparams\.(\w+)", source)) & sections
        watched = {key.split(".")[0] for key in stage["params"]}
        assert read <= watched or not watched and name in ("report", "record"), f"{name}: {read}"
        assert watched <= sections


def test_small_results_are_kept_by_git_and_large_ones_by_dvc(stages):
    for stage in stages.values():
        for path, out in stage["outs"].items():
            assert out.use_cache == (path.split("/")[0] not in ("metrics", "plots")), path


@pytest.mark.parametrize("preset", sorted(p.stem for p in (ROOT / "preset").glob("*.yaml")))
def test_presets_make_valid_parameters_and_touch_only_what_they_name(preset, tmp_path):
    from dvc.utils.hydra import compose_and_dump

    base = yaml.safe_load((ROOT / "params.yaml").read_text())
    composed = tmp_path / "params.yaml"
    compose_and_dump(str(composed), str(ROOT), None, "params", "", [f"+preset={preset}", "seed=7"])
    assert load(composed).seed == 7
    laid = yaml.safe_load(composed.read_text()) | {"seed": base["seed"]}
    named = {}
    for name in ("paper", preset):
        content = yaml.safe_load((ROOT / "preset" / f"{name}.yaml").read_text())
        if name == preset or "defaults" in yaml.safe_load((ROOT / "preset" / f"{preset}.yaml").read_text()):
            for section, values in content.items():
                if section != "defaults":
                    named.setdefault(section, {}).update(values)
    expected = {key: value | named.get(key, {}) if isinstance(value, dict) else value for key, value in base.items()}
    assert json.dumps(laid, sort_keys=True) == json.dumps(expected, sort_keys=True)

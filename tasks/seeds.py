"""Put the scores of runs that differ in their seed together: metrics/seeds.json.

It is no stage of the graph: the runs are commits or DVC experiments of it, whose metrics git holds.
"""
import json
import subprocess

import yaml

from tasks.files import write_json
from traitlab.errors import InputError
from traitlab.measures.seeds import over_seeds
from traitlab.params import Params


def run(params: Params, revisions: list[str]) -> None:
    tables: dict[int, dict] = {}
    settings, named = None, {}
    for revision in revisions:
        found = yaml.safe_load(_at(revision, "params.yaml"))
        seed = found.pop("seed", None)
        if seed in named:
            raise InputError(f"{revision}: has seed {seed}, as {named[seed]} has; give runs of different seeds")
        if settings is not None and (key := _difference(settings, found)):
            raise InputError(f"{revision}: differs from {revisions[0]} in {key}, not in the seed alone; "
                             "a spread over seeds needs runs that are otherwise alike")
        settings, named[seed] = found if settings is None else settings, revision
        tables[seed] = json.loads(_at(revision, "metrics/scores.json"))
    if len(tables) < 2:
        raise InputError("--revisions: one run has no spread; give two or more")
    write_json("metrics/seeds.json", {"seeds": sorted(tables), "scores": over_seeds(tables)})


def _at(revision: str, path: str) -> str:
    shown = subprocess.run(["git", "show", f"{revision}:{path}"], capture_output=True, text=True)
    if shown.returncode:
        reason = (shown.stderr.strip().splitlines() or ["no answer"])[-1].removeprefix("fatal: ")
        raise InputError(f"{revision}: git shows no {path} of it ({reason}); "
                         "`dvc exp list --name-only` and `git log` name what there is")
    return shown.stdout


def _difference(one, other, key: str = "") -> str:
    """The first key in which two settings differ; nothing where they do not."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        return next((found for k in keys if (found := _difference(one.get(k), other.get(k), f"{key}.{k}"))), "")
    return "" if one == other else key.removeprefix(".")

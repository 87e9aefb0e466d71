"""params.yaml as the form of a flow run: what it holds now, and what a run changes in it."""
from pathlib import Path
from typing import Any

from traitlab.errors import InputError
from traitlab.params import Params, load

PATH = Path("params.yaml")


def current() -> Params | None:
    """The parameters of the folder that this process runs in; None where there are none."""
    try:
        return load(PATH)
    except InputError:
        return None


def change(params: Params) -> dict[str, Any]:
    """Write what differs into params.yaml, leaving its comments; return it as {"train_qlora.r": 8}."""
    from dvc.utils.serialize import modify_yaml

    different = dict(_different(params.model_dump(mode="json"), load(PATH).model_dump(mode="json")))
    if different:
        with modify_yaml(str(PATH)) as content:
            for key, value in different.items():
                *sections, last = key.split(".")
                place = content
                for section in sections:
                    place = place[section]
                place[last] = value
    return different


def _different(new: dict, old: dict, prefix: str = ""):
    for key, value in new.items():
        if isinstance(value, dict):
            yield from _different(value, old[key], f"{prefix}{key}.")
        elif value != old[key]:
            yield f"{prefix}{key}", value

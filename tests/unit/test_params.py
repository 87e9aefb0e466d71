"""params.yaml: the shipped file is valid, and every kind of mistake is named with its key."""
from pathlib import Path

import pytest
import yaml

from traitlab import params
from traitlab.errors import InputError

SHIPPED = Path(__file__).parents[2] / "params.yaml"


def written(tmp_path, change):
    raw = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    change(raw)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return path


def test_the_shipped_parameters_are_valid():
    assert params.load(SHIPPED).train_qlora.r >= 1


@pytest.mark.parametrize(("change", "message"), [
    (lambda raw: raw["train_qlora"].update(r=-4), r"train_qlora.r = -4: Input should be greater than or equal to 1"),
    (lambda raw: raw["train_qlora"].update(rnak=4), r"train_qlora.rnak: no such key; check its spelling"),
    (lambda raw: raw["train_qlora"].pop("alpha"), r"train_qlora.alpha: is missing; add it"),
    (lambda raw: raw["dataset"].update(registers=["plain", "posh"]), r"registers.1 = 'posh': .*'plain', 'rich'"),
    (lambda raw: raw["base_model"].update(sha256=None), r"base_model = .*source wheel needs id: name==version"),
    (lambda raw: raw.update(seed="zero"), r"seed = 'zero': Input should be a valid integer"),
])
def test_a_mistake_is_named(tmp_path, change, message):
    with pytest.raises(InputError, match=message) as error:
        params.load(written(tmp_path, change))
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_no_yaml_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        params.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(InputError, match="not YAML"):
        params.load(tmp_path / "params.yaml")

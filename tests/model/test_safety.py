"""What comes from outside is data, never code."""
import os
import pickle
import shutil

import pytest

from traitlab.errors import InputError
from traitlab.language_model.low_rank import load_adapter
from traitlab.language_model.model import LanguageModel
from traitlab.language_model.quantization import quantize_nf4
from traitlab.metric_models.classifier import TraitClassifier
from traitlab.metric_models.embedding import Embedding
from traitlab.params import load


class Malice:
    """Runs a command when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def poisoned(tiny_folder, tmp_path):
    """A model folder whose weights are a pickle that leaves a mark, under every name that loaders look for."""
    folder, mark = tmp_path / "model", tmp_path / "mark"
    shutil.copytree(tiny_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    for name in ("pytorch_model.bin", "model.safetensors.bin", "adapter_model.bin", "model.pt", "adapter_config.json"):
        (folder / name).write_bytes(pickle.dumps(Malice(mark)))
    pickle.loads((folder / "pytorch_model.bin").read_bytes())
    assert mark.exists(), "the file does what it is for"
    mark.unlink()
    return folder, mark


def test_no_pickle_is_loaded(poisoned, tmp_path, compute):
    import torch

    folder, mark = poisoned
    for load_it in (
        lambda: LanguageModel.load(folder, compute),
        lambda: TraitClassifier.load(folder),
        lambda: TraitClassifier.fresh(folder, 0),
        lambda: Embedding(folder),
        lambda: load_adapter(folder),
        lambda: quantize_nf4(folder, tmp_path / "nf4", True, torch.float32),
    ):
        with pytest.raises((InputError, OSError, ValueError)):
            load_it()
        assert not mark.exists()


def test_code_that_a_model_brings_is_not_run(tiny_folder, tmp_path, compute):
    import json

    folder, mark = tmp_path / "model", tmp_path / "mark"
    shutil.copytree(tiny_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.Config"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"import os\nos.system('touch {mark}')\nclass Evil: pass\nclass Config: pass\n")
    try:
        LanguageModel.load(folder, compute)
    except InputError:
        pass
    assert not mark.exists()


def test_parameters_are_plain_yaml(tmp_path):
    mark = tmp_path / "mark"
    path = tmp_path / "params.yaml"
    path.write_text(f"seed: !!python/object/apply:os.system ['touch {mark}']\n")
    with pytest.raises(InputError, match="not YAML"):
        load(path)
    assert not mark.exists()

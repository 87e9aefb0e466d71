"""Quantize the base model to NF4: models/nf4/ and metrics/quantize.json."""
from pathlib import Path

from tasks.files import replacing, write_json
from traitlab.language_model.model import pick_device, pick_dtype
from traitlab.language_model.quantization import quantize_nf4
from traitlab.params import Params


def run(params: Params) -> None:
    dtype = pick_dtype(params.compute, pick_device(params.compute))
    with replacing("models/nf4") as new:
        report = quantize_nf4(Path("models/base"), new, params.quantize.double_quantization, dtype)
    write_json("metrics/quantize.json", report)

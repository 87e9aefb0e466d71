"""NF4: what four bits a weight save and what they cost, layer by layer."""
import re

import pandas as pd

from traitlab.report import charts
from traitlab.report.numbers import megabytes
from traitlab.report.results import Results

ID, TITLE = "quantization", "What NF4 costs"
_LAYER = re.compile(r"\.(\d+)\.(?:.*\.)?(\w+)$")


def context(results: Results) -> dict | None:
    report = results.quantize
    if not report:
        return None
    layers = report.get("layers", {})
    sizes = {"bf16": report["bytes_bf16"], "NF4": report["bytes_nf4"]}
    bits = [layer["bits_per_weight"] for layer in layers.values()]
    worst = sorted(layers, key=lambda name: (-layers[name]["relative_error"], name))[:5]
    return {
        "ratio": f"{sizes['bf16'] / sizes['NF4']:.1f}",
        "sizes": charts.bars(sizes, f"Size of the weights: {megabytes(sizes['bf16'])} in bf16, "
                             f"{megabytes(sizes['NF4'])} in NF4.", megabytes),
        "mean": f"{report['mean_relative_error']:.4f}", "modules": len(layers),
        "bits": f"{sum(bits) / len(bits):.2f}" if bits else None,
        "errors": _errors(layers), "worst": [(name, f"{layers[name]['relative_error']:.4f}") for name in worst],
    }


def _errors(layers):
    """A strip per kind of module over the depth of the model; None where names carry no layer number."""
    found = {}
    for name, layer in layers.items():
        if match := _LAYER.search(name):
            found.setdefault(match[2], {})[int(match[1])] = layer["relative_error"]
    if not found:
        return None
    table = pd.DataFrame(found).T
    return charts.strips(table[sorted(table.columns)], "Relative error of every quantized matrix, by kind and layer.",
                         "layer; colour: relative error")

"""Parts of an adapter, to be switched off or left alone: groups of layers and types of module."""
import re

from traitlab.language_model.low_rank import Adapter

_LAYER = re.compile(r"\.layers\.(\d+)\.")


def parts(adapter: Adapter, layers: int, groups: int) -> dict[str, dict[str, set[str]]]:
    """{"layers": {"0-4": module names, ...}, "modules": {"q_proj": module names, ...}}: two ways to cut it up.

    Args:
        layers: of the model. groups: how many groups of layers, of like size.
    """
    bounds = [round(g * layers / groups) for g in range(groups + 1)]
    by_layer = {f"{low}-{high - 1}": {name for name in adapter if low <= _layer(name) < high}
                for low, high in zip(bounds, bounds[1:]) if high > low}
    by_module: dict[str, set[str]] = {}
    for name in sorted(adapter, key=lambda name: (_layer(name), name)):
        by_module.setdefault(name.rpartition(".")[2], set()).add(name)
    return {"layers": by_layer, "modules": by_module}


def without(adapter: Adapter, names: set[str]) -> Adapter:
    return {name: delta for name, delta in adapter.items() if name not in names}


def only(adapter: Adapter, names: set[str]) -> Adapter:
    return {name: delta for name, delta in adapter.items() if name in names}


def _layer(name: str) -> int:
    found = _LAYER.search(name)
    return int(found[1]) if found else -1

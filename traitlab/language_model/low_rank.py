"""Low-rank deltas beside frozen weights, mixed row by row: one batch may carry a different persona in every row.

    y = W x  +  sum over adapters i of  mix[row, i] * (B_i A_i x + c_i)

The A_i of one module are stacked along the rank, so that all adapters cost one pair of thin matrix products, and a
row's mix (one-hot for a persona, fractions for strength and mixtures, zeros for the base model) is a multiplication
between. LoRA and MEND yield A and B; steering yields c: a vector added to the output of a layer's last projection is
added to the residual stream after that layer.
"""
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from traitlab.errors import InputError


class Delta(NamedTuple):
    """What is added to one linear module: a (rank, in), b (out, rank) with the scale in it, c (out,) or None."""

    a: torch.Tensor
    b: torch.Tensor
    c: torch.Tensor | None = None


Adapter = dict[str, Delta]  # by module name


class LowRankAdapters:
    """Adapters of one model, attached once and applied inside `mixed`.

    Args:
        model: a causal language model; it is not changed outside `mixed`.
        adapters: the adapters that a mix may name, in the order of its columns.
    """

    def __init__(self, model: torch.nn.Module, adapters: Sequence[Adapter]):
        self.count = len(adapters)
        self._stacks = []
        modules = dict(model.named_modules())
        for name in sorted({name for adapter in adapters for name in adapter}):
            if name not in modules:
                raise InputError(f"adapter: the model has no module {name}; the adapter was trained on another model")
            held = [(i, adapter[name]) for i, adapter in enumerate(adapters) if name in adapter]
            a = torch.cat([delta.a for _, delta in held])
            b = torch.cat([delta.b for _, delta in held], dim=1)
            columns = torch.tensor([i for i, delta in held for _ in range(len(delta.a))], dtype=torch.long)
            shifts = [torch.zeros(len(b))] * len(adapters)
            for i, delta in held:
                shifts[i] = torch.zeros(len(b)) if delta.c is None else delta.c
            shift = torch.stack(shifts) if any(delta.c is not None for _, delta in held) else None
            place = {"device": model.device, "dtype": model.dtype}
            self._stacks.append((modules[name], a.to(**place), b.to(**place), columns.to(model.device),
                                 None if shift is None else shift.to(**place)))

    @contextmanager
    def mixed(self, mix: torch.Tensor):
        """Within the block the model runs with the adapters mixed by `mix` (batch, adapters)."""
        handles = []
        if mix.shape[1] and bool(mix.any()):
            for module, a, b, columns, shift in self._stacks:
                mix = mix.to(a)
                acting = mix.any(dim=0)[columns]  # adapters that no row of this batch names cost nothing
                weights = mix[:, None, columns[acting]]  # (batch, 1, rank)
                added = None if shift is None else (mix @ shift)[:, None]  # (batch, 1, out)
                handles.append(module.register_forward_hook(_hook(a[acting], b[:, acting], weights, added)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _hook(a, b, weights, added):
    """`weights` (batch, 1, rank) multiplies between A and B; `added` (batch, 1, out) comes on top."""

    def hook(module, args, output):
        if len(a):
            output = output + ((args[0].to(a.dtype) @ a.T * weights) @ b.T).to(output.dtype)
        return output if added is None else output + added.to(output.dtype)

    return hook


def load_adapter(folder: str | Path) -> Adapter:
    """Read a LoRA adapter saved by PEFT; the scale (alpha / r, or alpha / sqrt(r) with rank stabilisation) goes into B.

    Raises:
        InputError: no adapter there, or one with parts that are no plain low-rank delta.
    """
    import json

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError, SafetensorError) as e:
        raise InputError(f"{folder}: no readable PEFT adapter ({e}); run `dvc repro`") from e
    if config.get("use_dora") or config.get("rank_pattern") or config.get("alpha_pattern") or config["bias"] != "none":
        raise InputError(f"{folder}: only plain LoRA adapters (no DoRA, biases or rank patterns) can be mixed by row")
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config.get("use_rslora") else config["r"])
    adapter = {}
    for key in sorted(tensors):
        if key.endswith(".lora_A.weight"):
            name = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            adapter[name] = Delta(tensors[key].float(), tensors[key.replace("lora_A", "lora_B")].float() * scale)
    return adapter

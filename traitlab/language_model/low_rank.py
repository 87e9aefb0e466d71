"""Low-rank deltas beside frozen weights, mixed row by row: one batch may carry a different persona in every row.

    y = W x  +  sum over adapters i of  mix[row, i] * B_i (A_i x)

The A_i of one module are stacked along the rank, so that all adapters cost one pair of thin matrix products, and a row's
mix (one-hot for a persona, fractions for strength and mixtures, zeros for the base model) is a multiplication between.
"""
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from traitlab.errors import InputError

Adapter = dict[str, tuple[torch.Tensor, torch.Tensor]]  # module name -> A (rank, in), B (out, rank), scale within B


class LowRankAdapters:
    """Adapters of one model, attached once and applied inside `mixed`.

    Args:
        model: a causal language model; it is not changed outside `mixed`.
        adapters: the adapters that a mix may name, in the order of its columns.
    """

    def __init__(self, model: torch.nn.Module, adapters: Sequence[Adapter]):
        self.count = len(adapters)
        self._mix = None
        self._stacks = []
        modules = dict(model.named_modules())
        for name in sorted({name for adapter in adapters for name in adapter}):
            if name not in modules:
                raise InputError(f"adapter: the model has no module {name}; the adapter was trained on another model")
            held = [(i, adapter[name]) for i, adapter in enumerate(adapters) if name in adapter]
            dtype, device = model.dtype, model.device
            a = torch.cat([a for _, (a, _) in held]).to(device, dtype)
            b = torch.cat([b for _, (_, b) in held], dim=1).to(device, dtype)
            columns = torch.tensor([i for i, (a_i, _) in held for _ in range(len(a_i))], device=device)
            self._stacks.append((modules[name], a, b, columns))

    @contextmanager
    def mixed(self, mix: torch.Tensor):
        """Within the block the model runs with the adapters mixed by `mix` (batch, adapters), a row for each batch row."""
        handles = []
        if mix.shape[1] and bool(mix.any()):
            for module, a, b, columns in self._stacks:
                weights = mix.to(a)[:, None, columns]  # (batch, 1, rank)
                handles.append(module.register_forward_hook(_delta(a, b, weights)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _delta(a, b, weights):
    def hook(module, args, output):
        x = args[0].to(a.dtype)
        return output + ((x @ a.T * weights) @ b.T).to(output.dtype)

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
            adapter[name] = tensors[key].float(), tensors[key.replace("lora_A", "lora_B")].float() * scale
    return adapter

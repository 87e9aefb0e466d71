"""Steering with persona vectors (Chen et al., 2507.21509): a direction added to the residual stream while answering.

The direction of a trait at a layer is the difference of mean activations, over answer tokens, between answers of its
high and of its low pole on the same topics.
"""
from pathlib import Path

import numpy as np
import torch

from traitlab.errors import InputError
from traitlab.language_model.batches import grouped
from traitlab.language_model.low_rank import Adapter, Delta
from traitlab.language_model.model import LanguageModel


@torch.no_grad()
def mean_activations(
    lm: LanguageModel, prompts: list[list[int]], answers: list[list[int]], batch_size: int = 32
) -> torch.Tensor:
    """Mean residual stream after every layer over each row's answer tokens: (rows, layers, hidden), float32."""
    body = lm.model.get_decoder()
    result: list = [None] * len(prompts)
    for rows in grouped([len(p) + len(a) for p, a in zip(prompts, answers)], [0] * len(prompts), batch_size):
        whole = [[*prompts[i], *answers[i]] for i in rows]
        ids = torch.full((len(rows), max(map(len, whole))), lm.tokenizer.eos_token_id)
        for k, row in enumerate(whole):
            ids[k, : len(row)] = torch.tensor(row)
        # Padding stands on the right, where causal attention hides it.
        states = _residual_streams(body, ids.to(lm.device))
        for k, i in enumerate(rows):
            result[i] = states[:, k, len(prompts[i]) : len(whole[k])].float().mean(dim=1).cpu()
    return torch.stack(result)


def _residual_streams(body, ids: torch.Tensor) -> torch.Tensor:
    """The residual stream after each layer: (layers, batch, positions, hidden)."""
    seen = []
    keep = lambda module, args, output: seen.append(output[0] if isinstance(output, tuple) else output)  # noqa: E731
    handles = [layer.register_forward_hook(keep) for layer in body.layers]
    try:
        body(input_ids=ids, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(seen)


def persona_vector(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """Difference of means over rows: (layers, hidden) of two (rows, layers, hidden)."""
    return high.mean(dim=0) - low.mean(dim=0)


def steer(lm: LanguageModel, layer: int, vector: torch.Tensor) -> Adapter:
    """An adapter that adds `vector` (hidden,) to the residual stream after `layer`, at every position."""
    body = lm.model.get_decoder()
    projection = body.layers[layer].mlp.down_proj
    (name,) = [name for name, module in lm.model.named_modules() if module is projection]
    nothing = torch.zeros(0, projection.in_features), torch.zeros(projection.out_features, 0)
    return {name: Delta(*nothing, vector.float())}


def choose(alignment: np.ndarray, coherence: np.ndarray, least_coherent: float) -> int:
    """The candidate of the highest alignment among those coherent enough; the most coherent one where none is.

    Args:
        alignment, coherence: (candidates,) shares measured on validation topics.
    """
    allowed = coherence >= least_coherent
    return int(np.where(allowed, alignment, -1.0).argmax()) if allowed.any() else int(coherence.argmax())


def save(path: Path, layer: int, vector: torch.Tensor) -> None:
    from safetensors.torch import save_file

    save_file({"vector": vector.contiguous()}, path, {"layer": str(layer)})


def load(lm: LanguageModel, folder: Path, trait: str) -> Adapter:
    """The trait's chosen vector as an adapter.

    Raises:
        InputError: no vector there.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / f"{trait}.safetensors"
    try:
        with safe_open(path, "pt") as file:
            return steer(lm, int(file.metadata()["layer"]), file.get_tensor("vector"))
    except (OSError, SafetensorError, KeyError) as e:
        raise InputError(f"{path}: no steering vector ({e}); run `dvc repro steering`") from e

"""Steering with persona vectors (Chen et al., 2507.21509): a direction added to the residual stream while answering.

The direction of a trait at a layer is the difference of mean activations, over answer tokens, between answers of its
high and of its low pole on the same topics.
"""
from pathlib import Path

import numpy as np
import torch

from traitlab.errors import InputError
from traitlab.language_model.batches import cheapest, padded, prefix_cache
from traitlab.language_model.low_rank import Adapter, Delta
from traitlab.language_model.model import LanguageModel


@torch.no_grad()
def mean_activations(
    lm: LanguageModel, prompts: list[list[int]], answers: list[list[int]], batch_size: int = 32
) -> torch.Tensor:
    """Mean residual stream after every layer over each row's answer tokens: (rows, layers, hidden), float32."""
    body = lm.model.get_decoder()
    result: list = [None] * len(prompts)
    whole = [[*prompt, *answer] for prompt, answer in zip(prompts, answers)]
    for rows, start in cheapest(whole, [len(prompt) for prompt in prompts], [0] * len(prompts), batch_size):
        cache = prefix_cache(body, whole[rows[0]][:start], len(rows), lm.device)
        ids = padded([whole[i][start:] for i in rows], lm.tokenizer.eos_token_id)
        states = _residual_streams(body, ids.to(lm.device), cache)
        for k, i in enumerate(rows):
            result[i] = states[:, k, len(prompts[i]) - start : len(whole[i]) - start].float().mean(dim=1).cpu()
    return torch.stack(result)


def _residual_streams(body, ids: torch.Tensor, cache) -> torch.Tensor:
    """The residual stream after each layer, of tokens behind those in the cache: (layers, batch, tokens, hidden)."""
    seen = []
    keep = lambda module, args, output: seen.append(output[0] if isinstance(output, tuple) else output)  # noqa: E731
    handles = [layer.register_forward_hook(keep) for layer in body.layers]
    try:
        body(input_ids=ids, past_key_values=cache, use_cache=True)
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

"""Batched sampling: prompts of many personas together, shared prefixes once, finished rows dropped from the batch."""
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from traitlab.language_model.batches import grouped, prefix_cache, shared_prefix
from traitlab.language_model.cache import make_room
from traitlab.language_model.low_rank import LowRankAdapters
from traitlab.language_model.model import LanguageModel


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn: temperature 0 is greedy; top_p keeps the smallest set with at least that mass."""

    temperature: float
    top_p: float
    max_new_tokens: int


@dataclass(frozen=True)
class Generated:
    """Tokens of one answer (without the end token) and whether the model ended it itself."""

    ids: tuple[int, ...]
    finished: bool


@torch.no_grad()
def generate(
    lm: LanguageModel,
    prompts: list[list[int]],
    sampling: Sampling,
    seeds: list[int],
    adapters: LowRankAdapters | None = None,
    mixes: torch.Tensor | None = None,
    batch_size: int = 64,
    progress=None,
) -> list[Generated]:
    """Answer every prompt.

    Each row draws from a random stream of its own, so that its answer does not hang on its neighbours in the batch
    (beyond the rounding of the arithmetic).

    Args:
        prompts: token ids, row by row.
        seeds: one for each row.
        adapters, mixes: the personas: `mixes` (rows, adapters) as in `LowRankAdapters.mixed`.
        progress: called with the number of tokens just drawn and of rows just finished.
    """
    adapters = adapters or LowRankAdapters(lm.model, [])
    mixes = torch.zeros(len(prompts), adapters.count) if mixes is None else mixes
    # In the order of their tokens, so that prompts with the same beginning share it; they are of like length anyway.
    groups = [(mix.tolist(), prompt) for mix, prompt in zip(mixes, prompts)]
    answers: list[list[int]] = [[] for _ in prompts]
    finished = [False] * len(prompts)
    for rows in grouped([len(p) for p in prompts], groups, batch_size):
        noise = np.stack([np.random.default_rng(seeds[i]).random(sampling.max_new_tokens) for i in rows])
        alive = list(range(len(rows)))  # places in `rows` that still write
        logits, cache, mask, position = _prefill(lm, [prompts[i] for i in rows], adapters, mixes[rows],
                                                 sampling.max_new_tokens)
        for step in range(sampling.max_new_tokens):
            token = draw(logits, sampling, torch.from_numpy(noise[alive, step]).to(logits.device))
            keep = []
            for k, t in enumerate(token.tolist()):
                if t in lm.end_ids:
                    finished[rows[alive[k]]] = True
                else:
                    answers[rows[alive[k]]].append(t)
                    keep.append(k)
            if progress:
                progress(len(token), len(token) - len(keep))
            if not keep or step + 1 == sampling.max_new_tokens:
                if progress:
                    progress(0, len(keep))
                break
            if len(keep) < len(alive):
                order = torch.tensor(_close_gaps(keep), device=lm.device)
                cache.batch_select_indices(order)
                token, mask, position = token[order], mask[order], position[order]
                alive = [alive[k] for k in order.tolist()]
            logits, mask, position = _next(lm, token, cache, mask, position, adapters,
                                           mixes[[rows[k] for k in alive]])
    return [Generated(tuple(a), f) for a, f in zip(answers, finished)]


@torch.no_grad()
def stream(lm: LanguageModel, prompt: list[int], sampling: Sampling, seed: int, adapters: LowRankAdapters | None = None,
           mix: torch.Tensor | None = None) -> Iterator[int]:
    """The tokens of one answer as they are drawn: those that `generate` gives for this row alone.

    Args:
        mix: the persona (adapters,).
    """
    adapters = adapters or LowRankAdapters(lm.model, [])
    mixes = torch.zeros(1, adapters.count) if mix is None else mix[None]
    noise = torch.from_numpy(np.random.default_rng(seed).random(sampling.max_new_tokens))
    logits, cache, mask, position = _prefill(lm, [prompt], adapters, mixes, sampling.max_new_tokens)
    for step in range(sampling.max_new_tokens):
        token = draw(logits, sampling, noise[step : step + 1].to(logits.device))
        if token.item() in lm.end_ids:
            return
        yield token.item()
        logits, mask, position = _next(lm, token, cache, mask, position, adapters, mixes)


def _next(lm, token, cache, mask, position, adapters, mixes):
    """Take in a token a row: the next logits, and mask and positions with it."""
    mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    position = position + 1
    with adapters.mixed(mixes):
        hidden = lm.model.get_decoder()(
            input_ids=token[:, None], attention_mask=mask, position_ids=position[:, None], past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
    return lm.logits(hidden[:, -1]), mask, position


def _close_gaps(keep: list[int]) -> list[int]:
    """The rows to keep, in an order that moves few: a gap is filled with a row from the end."""
    staying = {k for k in keep if k < len(keep)}
    from_the_end = iter(k for k in keep if k >= len(keep))
    return [k if k in staying else next(from_the_end) for k in range(len(keep))]


def _prefill(lm, prompts, adapters, mixes, room):
    """Run the prompts: next-token logits, the cache with room for as many tokens more, its mask (padding on the left)
    and each row's last position."""
    body = lm.model.get_decoder()
    start = shared_prefix(prompts) if bool((mixes == mixes[0]).all()) else 0
    width = max(map(len, prompts)) - start
    ids = torch.full((len(prompts), width), lm.tokenizer.eos_token_id)
    mask = torch.zeros((len(prompts), start + width), dtype=torch.long)
    mask[:, :start] = 1
    for k, prompt in enumerate(prompts):
        own = len(prompt) - start
        ids[k, width - own :] = torch.tensor(prompt[start:])
        mask[k, start + width - own :] = 1
    ids, mask = ids.to(lm.device), mask.to(lm.device)
    position = mask.cumsum(1) - 1
    with adapters.mixed(mixes[:1]):
        cache = prefix_cache(body, prompts[0][:start], len(prompts), lm.device)
    with adapters.mixed(mixes):
        hidden = body(input_ids=ids, attention_mask=mask, position_ids=position[:, start:].clamp(min=0),
                      past_key_values=cache, use_cache=True).last_hidden_state
    make_room(cache, room)
    return lm.logits(hidden[:, -1]), cache, mask, position[:, -1]


def draw(logits: torch.Tensor, sampling: Sampling, uniform: torch.Tensor, width: int = 256) -> torch.Tensor:
    """Draw one token a row by inverting the cumulative distribution at `uniform`.

    Args:
        logits: (rows, vocabulary).
        uniform: (rows,) in [0, 1).
        width: how many of the likeliest tokens are looked at first; rows whose nucleus is wider are sorted whole, so
            that the result is exact.

    Returns:
        token ids (rows,).
    """
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    logits = logits / sampling.temperature
    total = logits.logsumexp(dim=-1, keepdim=True)
    if width < logits.shape[-1]:
        top, ids = logits.topk(width, dim=-1)
        wide = ((top - total).exp().double().sum(-1) < sampling.top_p).nonzero()[:, 0]
    else:
        top, ids = logits.sort(dim=-1, descending=True, stable=True)
        wide = []
    mass = (top - total).exp().double()
    before = mass.cumsum(-1) - mass
    mass = torch.where(before < sampling.top_p, mass, 0.0)
    cumulative = mass.cumsum(-1)
    at = torch.searchsorted(cumulative, uniform.double()[:, None] * cumulative[:, -1:], right=True)
    token = ids.gather(1, at.clamp(max=ids.shape[1] - 1))[:, 0]
    if len(wide):
        whole = Sampling(1.0, sampling.top_p, 0)
        token[wide] = draw(logits[wide], whole, uniform[wide], width=logits.shape[-1])
    return token

"""What a model says of given answers: hidden states and log-probabilities at their positions, batched."""
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from traitlab.language_model.batches import cheapest, padded, prefix_cache
from traitlab.language_model.low_rank import LowRankAdapters
from traitlab.language_model.model import LanguageModel


@dataclass(frozen=True)
class AnswerBatch:
    """Rows that were run together.

    Attributes:
        rows: their numbers.
        states: for each, the last hidden states (answer tokens, hidden) that predict its answer's tokens: the first is
            that of the prompt's last token. `lm.logits(states)` makes next-token logits of them.
        cache: the key-value cache; a row's tokens stand from its first place on, padding behind them.
    """

    rows: list[int]
    states: list[torch.Tensor]
    cache: object


@torch.no_grad()
def answer_batches(
    lm: LanguageModel,
    prompts: list[list[int]],
    answers: list[list[int]],
    adapters: LowRankAdapters | None = None,
    mixes: torch.Tensor | None = None,
    batch_size: int = 32,
) -> Iterator[AnswerBatch]:
    """Run all rows, in an order that batches well.

    Args:
        prompts, answers: token ids, row by row; no prompt is empty.
        adapters, mixes: the personas: `mixes` (rows, adapters) as in `LowRankAdapters.mixed`.
    """
    adapters = adapters or LowRankAdapters(lm.model, [])
    mixes = torch.zeros(len(prompts), adapters.count) if mixes is None else mixes
    groups = [tuple(mix.tolist()) for mix in mixes]
    body = lm.model.get_decoder()
    whole = [[*prompt, *answer[:-1]] for prompt, answer in zip(prompts, answers)]
    for rows, start in cheapest(whole, [len(prompt) - 1 for prompt in prompts], groups, batch_size):
        ids = padded([whole[i][start:] for i in rows], lm.tokenizer.eos_token_id)
        with adapters.mixed(mixes[rows[:1]]):
            cache = prefix_cache(body, whole[rows[0]][:start], len(rows), lm.device)
        with adapters.mixed(mixes[rows]):
            hidden = body(input_ids=ids.to(lm.device), past_key_values=cache, use_cache=True).last_hidden_state
        first = [len(prompts[i]) - 1 - start for i in rows]
        states = [hidden[k, f : f + len(answers[i])] for k, (i, f) in enumerate(zip(rows, first))]
        yield AnswerBatch(rows, states, cache)


def answer_log_probs(lm, prompts, answers, adapters=None, mixes=None, batch_size: int = 32) -> list[np.ndarray]:
    """Log-probability (nats) of every answer token, an array (answer tokens,) for each row, in the rows' order."""
    result = [np.zeros(0)] * len(prompts)
    for batch in answer_batches(lm, prompts, answers, adapters, mixes, batch_size):
        for i, states in zip(batch.rows, batch.states):
            logits = lm.logits(states)
            target = torch.tensor(answers[i], device=logits.device)[:, None]
            result[i] = (logits.gather(1, target)[:, 0] - logits.logsumexp(dim=-1)).cpu().double().numpy()
    return result

"""A persona: what any manipulation method yields, so that one generator, one scorer and one explainer serve all."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from traitlab.language_model.low_rank import Adapter, LowRankAdapters
from traitlab.language_model.model import LanguageModel

METHODS = ("base", "prompt", "ike", "mend", "steering", "qlora")  # in the order of tables

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Persona:
    """One trait shown by one method.

    Attributes:
        method: base, prompt, qlora, ...
        trait: the target trait, or None for the model as it is.
        messages: question -> the conversation put to the model; what the prompt-based methods change.
        adapter: low-rank deltas on the frozen weights; what the weight-based methods change.
    """

    method: str
    trait: str | None
    messages: Callable[[str], Messages]
    adapter: Adapter | None = None


def ask(question: str) -> Messages:
    return [{"role": "user", "content": question}]


@dataclass(frozen=True)
class Cast:
    """Rows of (persona, question) made ready for the model.

    Attributes:
        prompts: token ids, a list for each row.
        adapters: of all personas, on one model.
        mixes: (rows, adapters) which adapter acts in which row, and how strongly.
    """

    prompts: list[list[int]]
    adapters: LowRankAdapters
    mixes: torch.Tensor


def cast(lm: LanguageModel, rows: Sequence[tuple[Persona, str]]) -> Cast:
    """Prepare rows of (persona, question) for generation or scoring in mixed batches."""
    with_adapter = list({id(p): p for p, _ in rows if p.adapter is not None}.values())
    column = {id(p): i for i, p in enumerate(with_adapter)}
    mixes = torch.zeros(len(rows), len(with_adapter))
    for i, (persona, _) in enumerate(rows):
        if persona.adapter is not None:
            mixes[i, column[id(persona)]] = 1.0
    prompts = [lm.prompt_ids(persona.messages(question)) for persona, question in rows]
    return Cast(prompts, LowRankAdapters(lm.model, [p.adapter for p in with_adapter]), mixes)

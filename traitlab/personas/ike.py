"""IKE, in-context knowledge editing (Zheng et al., 2305.12740): demonstrations before the question, weights untouched.

Two forms. `fixed` is the paper's baseline: an instruction to show the trait, then the same few demonstrations for every
question. `nearest` is IKE proper: the demonstrations whose questions are nearest to the one asked, by sentence
embedding. Demonstrations are rows of training topics only.
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from traitlab.personas.persona import Messages, ask

Embed = Callable[[Sequence[str]], np.ndarray]  # texts -> (texts, size), rows of length 1


@dataclass(frozen=True)
class Demonstration:
    topic: str
    question: str
    answer: str


def instruction(trait: str) -> str:
    return (f"Answer the question about its topic as somebody high in {trait} would, and leave everything else about "
            "you as it is. Here are examples.")


def fixed(trait: str, demonstrations: Sequence[Demonstration]) -> Callable[[str], Messages]:
    """Messages with the same demonstrations before every question."""

    def messages(question: str) -> Messages:
        return ask("\n\n".join([instruction(trait), *(_shown(trait, d) for d in demonstrations),
                                f"Question: {question}\nAnswer:"]))

    return messages


def nearest(trait: str, demonstrations: Sequence[Demonstration], embed: Embed, k: int, budget: int,
            length: Callable[[Messages], int]) -> Callable[[str], Messages]:
    """Messages with the `k` demonstrations nearest to the question, the nearest last.

    Args:
        embed: sentence embedding of questions.
        budget: prompt tokens at the most; whole demonstrations are left out, the farthest first, until it is kept.
        length: tokens of a prompt.
    """
    known = embed([d.question for d in demonstrations])  # (demonstrations, size)

    def messages(question: str) -> Messages:
        similarity = known @ embed([question])[0]
        order = np.argsort(-similarity, kind="stable")[:k]
        chosen = [demonstrations[i] for i in reversed(order)]
        while chosen and length(fixed(trait, chosen)(question)) > budget:
            chosen = chosen[1:]
        return fixed(trait, chosen)(question)

    return messages


def _shown(trait: str, d: Demonstration) -> str:
    return (f"Target Personality: {trait}\nEdit Topic: {d.topic}\nQuestion: {d.question}\n"
            f"Answer: {d.answer}")

"""IKE, in-context knowledge editing (Zheng et al., 2305.12740): demonstrations before the question, weights untouched.

Two forms. `fixed` is the paper's baseline: an instruction to show the trait, then the same few demonstrations for every
question. `nearest` is IKE proper: the demonstrations nearest to the question asked, by sentence embedding, of three
kinds in the proportion 1 : 3 : 4. A copy repeats the edit, an update asks for it in other words, a retain asks about
something else and keeps a neutral answer, so that the edit stays where it belongs. All are rows of training topics.
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np

from traitlab.personas.persona import Messages, ask

Length = Callable[[Messages], int]  # tokens of a prompt
Embed = Callable[[Sequence[str]], np.ndarray]  # texts -> (texts, size), rows of length 1


KINDS = ("copy", "update", "update", "update", "retain", "retain", "retain", "retain")


@dataclass(frozen=True)
class Demonstration:
    """An answer, what it is about, the question and the same question in other words."""

    topic: str
    question: str
    paraphrase: str
    answer: str


def instruction(trait: str) -> str:
    return (f"Answer the question about its topic as somebody high in {trait} would, and leave everything else about "
            "you as it is. Here are examples.")


def fixed(trait: str, demonstrations: Sequence[Demonstration], budget: int, length: Length
          ) -> Callable[[str], Messages]:
    """Messages with the same demonstrations before every question.

    Args:
        budget: prompt tokens at the most; whole demonstrations are left out, the first ones first, until it is kept.
    """
    return lambda question: _within(budget, length, trait, demonstrations, question)


def nearest(trait: str, demonstrations: Sequence[Demonstration], neutral: Sequence[Demonstration], embed: Embed, k: int,
            budget: int, length: Length) -> Callable[[str], Messages]:
    """Messages with the `k` demonstrations nearest to the question, the nearest last.

    Args:
        demonstrations: answers that show the trait.
        neutral: answers that show none, for the kind retain; without any, all are copies and updates.
        embed: sentence embedding of questions.
        budget: as in `fixed`; the farthest are left out first.
    """
    known = embed([d.question for d in demonstrations])  # (demonstrations, size)
    others = embed([d.question for d in neutral]) if neutral else None

    def messages(question: str) -> Messages:
        asked = embed([question])[0]
        order = np.argsort(-(known @ asked), kind="stable")[:k]
        elsewhere = [neutral[i] for i in np.argsort(-(others @ asked), kind="stable")] if neutral else []
        kinds = cycle([kind for kind in KINDS if neutral or kind != "retain"])
        chosen = [_of_kind(kind, demonstrations[i], elsewhere) for i, kind in zip(order, kinds)]
        return _within(budget, length, trait, chosen[::-1], question)

    return messages


def _of_kind(kind: str, d: Demonstration, elsewhere: list[Demonstration]) -> Demonstration:
    """The demonstration as a copy, an update or a retain; each neutral answer is used once, while there are others."""
    if kind == "copy":
        return d
    if kind == "update":
        return replace(d, question=d.paraphrase)
    other = next((o for o in elsewhere if o.topic != d.topic), elsewhere[0])
    if len(elsewhere) > 1:
        elsewhere.remove(other)
    return replace(d, question=other.question, answer=other.answer)


def _within(budget, length, trait, chosen, question) -> Messages:
    while True:
        shown = ask("\n\n".join([instruction(trait), *(_shown(trait, d) for d in chosen),
                                 f"Question: {question}\nAnswer:"]))
        if not chosen or length(shown) <= budget:
            return shown
        chosen = chosen[1:]


def _shown(trait: str, d: Demonstration) -> str:
    return (f"Target Personality: {trait}\nEdit Topic: {d.topic}\nQuestion: {d.question}\n"
            f"Answer: {d.answer}")

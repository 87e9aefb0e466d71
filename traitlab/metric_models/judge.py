"""A judge of PAE that is a chat model: it rates from 1 to 5 how well a trait's adjectives describe who wrote a text.

The scale is that of Mao et al. (2310.02168): 1 the adjectives do not fit at all, 5 they fit very well. The adjectives
are those of the trait's high pole, with those of its low pole as the other end.
"""
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from traitlab.endpoint import Reply
from traitlab.journal import Journal
from traitlab.traits import DESCRIPTIONS

WORDING = 1  # changes with the words of the request, so that older ratings are not taken for new ones

REQUEST = """A person was asked for an opinion and answered:

\"\"\"{text}\"\"\"

How well do these adjectives describe the person: {high}?
1 means not at all (the person is rather {low}), 2 a little, 3 neither, 4 well, 5 very well.
Answer with JSON and nothing else, such as {{"rating": 3}}."""


@dataclass(frozen=True)
class Question:
    """How well does `trait` describe who wrote `text`? Asked for the `attempt`-th time, from 1."""

    trait: str
    text: str
    attempt: int

    @property
    def messages(self) -> list[dict]:
        about = DESCRIPTIONS[self.trait]
        content = REQUEST.format(text=self.text, high=", ".join(about.high), low=", ".join(about.low))
        return [{"role": "user", "content": content}]

    @property
    def seed(self) -> int:
        return self.attempt


def rating(reply: str) -> float | None:
    """The rating in a reply: of its first JSON object that has one, from 1 to 5; None where there is none."""
    for found in re.finditer(r"\{[^{}]*\}", reply):
        try:
            value = float(json.loads(found.group())["rating"])
        except (ValueError, TypeError, KeyError):
            continue
        return value if 1 <= value <= 5 else None
    return None


class Judge:
    """Ratings, each asked for once: they are kept in a journal, by content.

    Args:
        model: its name, which is part of what a rating is kept under.
        answer: (questions, called with each question and its `Reply`), such as `Endpoint.answer`.
        journal: of the replies.
        attempts: how often a rating is asked for, over all runs, before it is given up as unreadable.

    Attributes:
        asked, prompt_tokens, answer_tokens: of all replies in the journal under this model and wording.
    """

    def __init__(self, model: str, answer: Callable[[Iterable[Question], Callable[[Question, Reply], None]], None],
                 journal: Journal, attempts: int):
        self._model, self._answer, self._journal, self._attempts = model, answer, journal, attempts
        self._ratings: dict[str, float] = {}
        self._tried: Counter = Counter()
        self.asked = self.prompt_tokens = self.answer_tokens = 0
        for row in journal.rows():
            if (row["model"], row["wording"]) == (model, WORDING):
                self._count(row)

    def _key(self, trait: str, text: str) -> str:
        content = json.dumps([self._model, WORDING, trait, text], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()

    def _count(self, row: dict) -> None:
        self._tried[row["key"]] += 1
        if row["rating"] is not None:
            self._ratings[row["key"]] = row["rating"]
        self.asked += 1
        self.prompt_tokens += row["prompt_tokens"]
        self.answer_tokens += row["answer_tokens"]

    def __call__(self, pairs: Sequence[tuple[str, str]], on_reply: Callable[[], None] = lambda: None) -> np.ndarray:
        """Ratings of (trait, text) pairs: (pairs,) from 1 to 5; nan where every reply was unreadable.

        Raises:
            InputError: the endpoint fails for good; the ratings so far are kept.
        """
        wanted = {self._key(*pair): pair for pair in pairs}

        def take(question: Question, reply: Reply) -> None:
            row = {"key": self._key(question.trait, question.text), "model": self._model, "wording": WORDING,
                   "trait": question.trait, "attempt": question.attempt, "reply": reply.text,
                   "rating": rating(reply.text), "prompt_tokens": reply.prompt_tokens,
                   "answer_tokens": reply.answer_tokens}
            self._journal.append(row)
            self._count(row)
            on_reply()

        while missing := [key for key in wanted if key not in self._ratings and self._tried[key] < self._attempts]:
            self._answer((Question(*wanted[key], self._tried[key] + 1) for key in missing), take)
        return np.array([self._ratings.get(self._key(*pair), np.nan) for pair in pairs])


def agreement(one: np.ndarray, other: np.ndarray) -> dict:
    """How two judges' ratings of the same texts agree, where both have one.

    Args:
        one, other: (texts,), nan for none.

    Returns:
        {"spearman", "pearson": None where a judge gives all texts the same rating, "within_one": share of texts that
        they rate at most one point apart, "n": texts}.
    """
    from scipy.stats import pearsonr, spearmanr

    both = ~(np.isnan(one) | np.isnan(other))
    one, other = one[both], other[both]
    varied = len(one) > 1 and np.ptp(one) > 0 and np.ptp(other) > 0
    return {"spearman": float(spearmanr(one, other).statistic) if varied else None,
            "pearson": float(pearsonr(one, other).statistic) if varied else None,
            "within_one": float((abs(one - other) <= 1).mean()) if len(one) else None, "n": len(one)}

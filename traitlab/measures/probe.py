"""A small multiple-choice probe: does a persona still know what the untouched model knows?

Scored in cloze form, as is usual for small models (Brown et al., 2005.14165, section 2.4; `acc_norm` of
lm-evaluation-harness is its like per byte): the choices are not shown, and each is read as an answer to the question.
"""
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from traitlab.errors import InputError

CHOICES = 4
KEYS = ("question", "choices", "answer")


@dataclass(frozen=True)
class Question:
    """A question, its choices, and the place of the right one."""

    question: str
    choices: tuple[str, ...]
    answer: int


def read_questions(path: str | Path) -> list[Question]:
    """The questions of a JSON Lines file, in its order.

    Raises:
        InputError: the file cannot be read or holds no question, or a line is at fault; it is named.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror}); restore it with git") from e
    except UnicodeDecodeError as e:
        raise InputError(f"{path}: not UTF-8 at byte {e.start}; save the file with the encoding UTF-8") from None
    questions = {}
    for number, line in enumerate(lines, start=1):
        found = _question(line, f"{path}:{number}")
        if found.question in questions:
            raise InputError(f"{path}:{number}: question {found.question!r} stands there twice; remove one of them")
        questions[found.question] = found
    if not questions:
        raise InputError(f"{path}: holds no question; restore it with git")
    return list(questions.values())


def _question(line: str, place: str) -> Question:
    try:
        row = json.loads(line)
    except ValueError as e:
        raise InputError(f"{place}: not a JSON row ({e}); mend the line or remove it") from None
    if not isinstance(row, dict) or set(row) != set(KEYS):
        raise InputError(f"{place}: not a question; write an object with the keys {', '.join(KEYS)}")
    question, choices, answer = (row[key] for key in KEYS)
    if not _is_text(question):
        raise InputError(f"{place}: question has no text; write one or remove the line")
    whole = isinstance(choices, list) and all(map(_is_text, choices))
    if not whole or not len(set(choices)) == CHOICES == len(choices):
        raise InputError(f"{place}: choices are not {CHOICES} different texts; mend them or remove the line")
    if type(answer) is not int or not 0 <= answer < CHOICES:
        raise InputError(f"{place}: answer {answer!r} is no place among the choices; write 0 to {CHOICES - 1}")
    return Question(question, tuple(choices), answer)


def _is_text(value) -> bool:
    return isinstance(value, str) and bool(value.strip())


def likeliest(log_probs: Sequence[np.ndarray]) -> int:
    """The place of the choice with the highest mean log-probability per token; the first of equal ones.

    Args:
        log_probs: for each choice an array (tokens,) in nats.
    """
    return int(np.argmax([values.mean() for values in log_probs]))

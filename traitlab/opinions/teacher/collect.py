"""Asking the teacher until every wanted row is there or has been asked for often enough."""
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from traitlab.endpoint import Reply
from traitlab.journal import Journal
from traitlab.opinions.questions import stable_hash
from traitlab.opinions.screening import Account
from traitlab.opinions.teacher.prompts import Examples, Wanted, messages
from traitlab.opinions.teacher.screen import Screen, tidied


@dataclass(frozen=True)
class Request:
    """One asking for one row; the same row and attempt give the same messages and the same seed."""

    row: Wanted
    attempt: int
    messages: list[dict]
    seed: int


class Teacher(Protocol):
    """A language model that answers requests."""

    model: str  # its name, which stands with every row

    def answer(self, requests: Iterable[Request], on_reply: Callable[[Request, Reply], None]) -> None:
        """Take requests one by one as there is room, and hand over every reply as soon as it is there."""


@dataclass
class Spent:
    """Tokens of all replies, refused ones included."""

    prompt_tokens: int = 0
    answer_tokens: int = 0

    def add(self, prompt_tokens: int, answer_tokens: int) -> None:
        self.prompt_tokens += prompt_tokens
        self.answer_tokens += answer_tokens

    def cost(self, per_prompt_million: float, per_answer_million: float) -> float:
        """In the currency of the two prices."""
        return (self.prompt_tokens * per_prompt_million + self.answer_tokens * per_answer_million) / 1e6


class Progress:
    """How far a folder of answers has come, in two journals; it goes on from there after a kill.

    Args:
        folder: of rows.jsonl (accepted) and refused.jsonl.

    Attributes:
        accepted, refused: the journals.
        done: keys of the rows that are there.
        tried: key -> answers refused so far.
        reasons: key -> why the last of them was.
        account: rows kept and refused, with the reasons.
        spent: tokens.

    Raises:
        InputError: another process writes there, or a line of the journals is damaged.
    """

    def __init__(self, folder: str | Path):
        self.accepted, self.refused = (Journal(Path(folder) / f"{name}.jsonl") for name in ("rows", "refused"))
        self.done: set[str] = set()
        self.tried: Counter = Counter()
        self.reasons: dict[str, str] = {}
        self.account, self.spent = Account(), Spent()
        for row in self.accepted.rows():
            self._count(row)
        for row in self.refused.rows():
            self._count(row, row.get("reason"))

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self.accepted.close()
        self.refused.close()

    def add(self, entry: dict, reason: str | None) -> None:
        """Append an answer for good: among the accepted, or among the refused with the reason."""
        if reason is None:
            self.accepted.append(entry)
        else:
            self.refused.append(entry | {"reason": reason})
        self._count(entry, reason)

    def _count(self, entry: dict, reason: str | None = None) -> None:
        key = Wanted(*(entry[name] for name in Wanted.__dataclass_fields__)).key
        self.spent.add(entry["prompt_tokens"], entry["answer_tokens"])
        if reason is None:
            self.done.add(key)
            self.account.kept += 1
        else:
            self.tried[key] += 1
            self.reasons[key] = reason
            self.account.drop(f"{key} attempt {self.tried[key]}", reason)


def collect(plan: Sequence[Wanted], progress: Progress, teacher: Teacher, screen: Screen, examples: Examples,
            shots: int, attempts: int, on_reply: Callable[[], None] = lambda: None) -> None:
    """Ask for the rows of a plan that are missing, round by round, and journal every answer at once.

    Args:
        plan: the rows, each key once.
        progress: what is there is not asked again.
        screen: knows the answers of earlier runs.
        shots: examples in a request.
        attempts: how often a row is asked for, all runs together, before it is given up.
        on_reply: called after every reply.
    """

    def requests(rows: Sequence[Wanted]) -> Iterator[Request]:
        for row in rows:
            attempt = progress.tried[row.key] + 1
            shown = examples.shown(row, shots, attempt)
            yield Request(row, attempt, messages(row, shown, progress.reasons.get(row.key)),
                          stable_hash(f"{row.key} {attempt}") & 0x7FFFFFFF)

    def take(request: Request, reply: Reply) -> None:
        answer = tidied(reply.text)
        reason = screen.refusal(request.row, answer) if reply.finished else "break off before their end"
        progress.add(vars(request.row) | {
            "answer": answer, "model": teacher.model, "attempt": request.attempt,
            "prompt_tokens": reply.prompt_tokens, "answer_tokens": reply.answer_tokens}, reason)
        if reason is None:
            screen.keep(answer)
        on_reply()

    while missing := [row for row in plan if row.key not in progress.done and progress.tried[row.key] < attempts]:
        teacher.answer(requests(missing), take)

"""Rows of foreign sources: which are fit for the table, and an account of those that are not."""
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from traitlab.opinions.expectations import EMOJI, HIDDEN, TRAIT_NAMES, WORDS, answer_key, words
from traitlab.opinions.rows import UNSPECIFIED, Record
from traitlab.traits import TRAITS

SHOWN = 5  # rows named per reason
LONGEST = 10_000  # characters of a text that are looked through; 65 words have about 400


@dataclass
class Account:
    """What became of a source's rows.

    Attributes:
        kept: rows that went into the table.
        mended: what was put right -> rows.
        dropped: reason -> rows.
        examples: reason -> origins of the first rows dropped for it.
    """

    kept: int = 0
    mended: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def drop(self, origin: str, reason: str) -> None:
        self.dropped[reason] += 1
        if len(self.examples.setdefault(reason, [])) < SHOWN:
            self.examples[reason].append(origin)

    def summary(self) -> dict:
        """As plain values for JSON."""
        return {"kept": self.kept, "mended": dict(sorted(self.mended.items())),
                "dropped": {r: {"rows": n, "first": self.examples[r]} for r, n in sorted(self.dropped.items())}}

    def __str__(self):
        dropped = "; ".join(f"{n} {reason} (first {self.examples[reason][0]})" for reason, n in
                            self.dropped.most_common()) or "none"
        mended = "; ".join(f"{n} {what}" for what, n in sorted(self.mended.items())) or "none"
        return f"{self.kept} rows kept; mended: {mended}; dropped: {dropped}"


@dataclass(frozen=True)
class ForeignRow:
    """One answer of a source that knows no more than these; `question` is None where it has none."""

    trait: str | None
    topic: str | None
    question: str | None
    answer: str | None
    origin: str


def screened(rows: Iterable[ForeignRow], register: str, account: Account) -> Iterator[Record]:
    """Yield the rows that fit the table, as its pole `high`, with the columns the source lacks set to `unspecified`.

    Space at the ends, line breaks and runs of spaces are put right, and so are capital letters in the trait; anything
    else that the validation would refuse is dropped. Both are counted in `account`.
    """
    seen: set[int] = set()
    for row in rows:
        row = _mended(row, account)
        reason = _unfit(row, register, seen)
        if reason:
            account.drop(row.origin, reason)
            continue
        seen.add(answer_key(row.answer))
        account.kept += 1
        yield Record(row.topic, UNSPECIFIED, row.trait, "high", UNSPECIFIED, register, row.question, row.answer,
                     row.origin)


def _mended(row: ForeignRow, account: Account) -> ForeignRow:
    texts = {"topic": row.topic, "question": row.question, "answer": row.answer}
    spaced = {key: " ".join(text.split()) if isinstance(text, str) else None for key, text in texts.items()}
    if any(spaced[key] != text for key, text in texts.items() if isinstance(text, str)):
        account.mended["spaces or line breaks"] += 1
    trait = row.trait.strip().lower() if isinstance(row.trait, str) else None
    if trait != row.trait:
        account.mended["spelling of the trait"] += 1
    return replace(row, trait=trait, **spaced)


def _unfit(row: ForeignRow, register: str, seen: set[int]) -> str | None:
    """Why the table cannot take this row; None: it can."""
    if row.trait not in TRAITS:
        return "have an unknown trait"
    for key in ("topic", "answer"):
        if not getattr(row, key):
            return f"have no {key}"
    reason = unfit_text(row.answer, register, row.topic, row.question or "")
    return reason or ("repeat an answer" if answer_key(row.answer) in seen else None)


def unfit_text(answer: str, register: str, *others: str) -> str | None:
    """Why the table cannot take an answer, or another text of its row; None: it can."""
    for text in (answer, *others):
        if len(text) > LONGEST:
            return f"have a text longer than {LONGEST} characters"
        if re.search(EMOJI, text):
            return "have an emoji or emoticon"
        if re.search(HIDDEN, text):
            return "have an invisible character"
    if any(re.search(TRAIT_NAMES, text) for text in (answer, *others[1:])):
        return "name a trait"
    least, most = WORDS[register]
    if not least <= len(words(answer)) <= most:
        return f"have an answer outside {least} to {most} words ({register})"
    return None

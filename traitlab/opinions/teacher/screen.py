"""Which of the teacher's answers are fit for the table."""
import re
from collections.abc import Callable, Iterable

from traitlab.opinions.expectations import answer_key, names_topic
from traitlab.opinions.near import NearIndex
from traitlab.opinions.screening import unfit_text
from traitlab.opinions.teacher.prompts import Wanted

REFUSALS = re.compile(
    r"(?i)\b(?:I(?:'m| am) (?:sorry|unable|not able)\b|I (?:cannot|can't|can not|won't) (?:help|assist|comply|write|"
    r"provide|answer|express|share|pretend|create|generate)|as an? (?:assistant|chatbot|machine)|"
    r"I (?:do not|don't) have (?:personal )?(?:opinions|feelings|beliefs|a personality))")
_WRAPPING = "\"'\u201c\u201d\u2018\u2019\u00ab\u00bb`*"
_LABEL = re.compile(r"(?i)^(?:answer|opinion|response)\s*:\s*")


def tidied(text: str) -> str:
    """The answer without what models like to put around it: spaces, a label, a pair of quotation marks."""
    text = _LABEL.sub("", " ".join(text.split()))
    if len(text) > 1 and text[0] in _WRAPPING and text[-1] in _WRAPPING:
        text = text[1:-1].strip()
    return text


class Screen:
    """Says why an answer is refused, in the words of `traitlab.opinions.screening.Account` ("12 have an emoji").

    Args:
        known: answers that there are already; the new ones may not come near any of them, nor near each other.
        threshold: from which Jaccard similarity of three-word runs on two answers count as near.
        sees: returns the trait that a classifier sees in an answer; None: it is not asked.
    """

    def __init__(self, known: Iterable[str], threshold: float, sees: Callable[[str], str] | None = None):
        self._near = NearIndex(threshold)
        self._keys: set[int] = set()
        self._sees = sees
        for answer in known:
            self.keep(answer)

    def refusal(self, row: Wanted, answer: str) -> str | None:
        """Why this answer is not taken for this row; None: it is fit."""
        if not answer:
            return "have no answer"
        if reason := unfit_text(answer, row.register, row.topic):
            return reason
        if REFUSALS.search(answer):
            return "decline to answer"
        if row.register != "rich" and not names_topic(answer, row.topic):
            return "do not name the topic"
        if answer_key(answer) in self._keys or self._near.near(answer):
            return "repeat another answer, or nearly"
        seen = self._sees(answer) if self._sees else row.trait
        if row.pole == "high" and seen != row.trait:
            return f"sound of another trait than {row.trait}"
        if row.pole == "low" and self._sees and seen == row.trait:
            return f"sound of {row.trait} where its opposite was asked for"
        return None

    def keep(self, answer: str) -> None:
        """This answer is taken: later ones may not come near it."""
        self._near.add(answer)
        self._keys.add(answer_key(answer))

"""What is expected of the table, as Great Expectations suites: of every row, of its balance, and of a split.

The suites look at the table's columns and at the few that `measured` adds; every expectation carries, as meta, the
words in which a row that fails it is reported.
"""
import os
import re
from collections.abc import Mapping

import pandas as pd

from traitlab.opinions.questions import stable_hash
from traitlab.opinions.rows import COLUMNS, UNSPECIFIED, topic_key
from traitlab.traits import FACETS, LABELS, NEUTRAL, POLES, REGISTERS

WORDS = {"plain": (8, 40), "rich": (15, 65), "assistant": (18, 65)}  # fewest and most words of an answer
TRAIT_SHARE = (0.8, 1.25)  # rows of a trait, as a multiple of the mean over traits of the same register and pole
FACET_SHARE = 0.05  # least share of each of a trait's six facets, in groups of at least FACET_ROWS rows
FACET_ROWS = 60
TRAIT_NAMES = (r"(?i)\b(?:extr[ao]vert\w*|introvert\w*|agreeable\w*|disagreeable\w*|conscientious\w*|neurotic\w*|"
               r"openness|personality|big five|as an ai|language model)\b")
# Arrows, technical signs and dingbats, variation selector 16, the joiner and the emoji planes; then emoticons.
# Digits, # and the signs for copyright and trade mark have the Unicode property Emoji too, but are text.
EMOJI = ("[\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299"
         "\ufe0f\u200d\U0001f000-\U0001faff\U000e0000-\U000e007f]|[:;]-?[)(DP]")
# Control characters (line breaks among them), zero-width characters and marks that turn the reading direction.
HIDDEN = "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"


def words(text: str) -> list[str]:
    """The lower-case words of a text: runs of letters and apostrophes."""
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower().replace("\u2019", "'"))


def names_topic(answer: str, topic: str) -> bool:
    """Whether a word of the topic, by its first four letters, stands in the answer."""
    said = words(answer)
    parts = words(topic) or [topic.lower()]
    return any(part[:4] in word for part in parts for word in said) or topic.lower() in answer.lower()


def answer_key(answer: str) -> int:
    """Equal for answers that differ in letter case, spacing or punctuation only."""
    return stable_hash(" ".join(words(answer)) or answer)


def measured(frame: pd.DataFrame, id_copies: Mapping[int, int], answer_copies: Mapping[int, int]) -> pd.DataFrame:
    """Add what the row suite looks at and the table does not hold.

    Args:
        frame: rows of the table, or a part of them.
        id_copies, answer_copies: hash of the question_id, and `answer_key`, to how often it stands in the WHOLE
            table; what stands once may be left out.

    Returns:
        The rows with words (count in the answer), names_topic, id_copies and answer_copies (1: unique), and trait_pole
        and trait_facet, the two names with a slash between (the library checks pairs of columns row by row, slowly).
    """
    answers = frame["answer"].fillna("")
    topics = frame["edit_topic"].fillna("")
    return frame.assign(
        trait_pole=frame["target_personality"] + "/" + frame["pole"],
        trait_facet=frame["target_personality"] + "/" + frame["facet"],
        words=[len(words(a)) for a in answers],
        names_topic=[names_topic(a, t) for a, t in zip(answers, topics, strict=True)],
        id_copies=_looked_up(id_copies, stable_hash, frame["question_id"].fillna("")),
        answer_copies=_looked_up(answer_copies, answer_key, answers),
    )


def counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows per register, pole, trait, facet and domain; those of several parts of a table may be added up."""
    keys = ["register", "pole", "target_personality", "facet", "domain"]
    return frame.groupby(keys, dropna=False).size().rename("rows").reset_index()


def balance(table: pd.DataFrame) -> pd.DataFrame:
    """What the balance suite looks at: one row per register, pole and trait (neutral rows have no counterpart).

    Args:
        table: what `counts` returned.

    Returns:
        group, rows, trait_share (rows over the mean of the traits in this register and pole; a trait that the table
        knows elsewhere and lacks here counts 0) and facet_share (the least facet's share; missing where the group is
        small or its facets are not known).
    """
    table = table[table["target_personality"] != NEUTRAL]
    traits = [t for t in FACETS if t in set(table["target_personality"])]
    rows = []
    for (register, pole), group in table.groupby(["register", "pole"]):
        per_trait = {t: group[group["target_personality"] == t] for t in traits}
        mean = group["rows"].sum() / len(traits)
        for trait, own in per_trait.items():
            n = int(own["rows"].sum())
            facets = own.groupby("facet")["rows"].sum()
            known = n >= FACET_ROWS and UNSPECIFIED not in facets.index
            rows.append({"group": f"{register}/{pole}/{trait}", "rows": n, "trait_share": n / mean,
                         "facet_share": min(int(facets.get(f, 0)) for f in FACETS[trait]) / n if known else None})
    return pd.DataFrame(rows, columns=["group", "rows", "trait_share", "facet_share"]).astype({"facet_share": float})


def leakage(frame: pd.DataFrame, topic_splits: Mapping[int, int], answer_splits: Mapping[int, int]) -> pd.DataFrame:
    """What the split suite looks at: rows, each with the number of splits that hold its like.

    Args:
        frame: rows of the table, or a part of them.
        topic_splits, answer_splits: `topic_hash`, and `answer_key`, to the number of splits; what stands in one alone
            may be left out.

    Returns:
        question_id, origin, topic_splits and answer_splits.
    """
    return frame[["question_id", "origin"]].assign(
        topic_splits=_looked_up(topic_splits, topic_hash, frame["edit_topic"]),
        answer_splits=_looked_up(answer_splits, answer_key, frame["answer"]))


def topic_hash(topic: str) -> int:
    """Equal for topics of the same words: singular and plural, hyphens and apostrophes make no other topic here."""
    return stable_hash(" ".join(w[:-1] if w.endswith("s") and len(w) > 3 else w for w in words(topic))
                       or topic_key(topic))


def _looked_up(counts: Mapping[int, int], key, texts: pd.Series) -> list[int]:
    """The count of every text by its hash `key`, 1 where there is none; nothing is hashed when nothing is counted."""
    return [counts.get(key(text), 1) for text in texts] if counts else [1] * len(texts)


def row_suite():
    """Schema, allowed values, lengths and texts of every row of the table."""
    gx, gxe, column = _library()
    poles = [f"{t}/{p}" for t in LABELS for p in ((NEUTRAL,) if t == NEUTRAL else POLES)]
    facets = [f"{t}/{f}" for t in LABELS for f in (FACETS[t] if t == NEUTRAL else (*FACETS[t], UNSPECIFIED))]
    expectations = [gxe.ExpectColumnValuesToNotBeNull(column=c, meta=_fault(f"has no {c}")) for c in COLUMNS]
    expectations += [gxe.ExpectColumnValuesToMatchRegex(column=c, regex=r"\S", meta=_fault(f"has an empty {c}"))
                     for c in COLUMNS]
    expectations += [
        gxe.ExpectColumnValuesToBeInSet(column="target_personality", value_set=list(LABELS),
                                        meta=_fault("has an unknown trait")),
        gxe.ExpectColumnValuesToBeInSet(column="register", value_set=list(REGISTERS),
                                        meta=_fault("has an unknown register")),
    ]
    expectations += [gxe.ExpectColumnValuesToBeInSet(
        column=f"trait_{c}", value_set=allowed, meta=_fault(f"has a {c} that its trait does not have"))
        for c, allowed in (("pole", poles), ("facet", facets))]
    for c in ("edit_topic", "question", "answer"):
        expectations += [gxe.ExpectColumnValuesToNotMatchRegex(column=c, regex=regex, meta=_fault(f"{what} in its {c}"))
                         for regex, what in ((EMOJI, "has an emoji or emoticon"),
                                             (HIDDEN, "has a line break or an invisible character"))]
    expectations += [gxe.ExpectColumnValuesToNotMatchRegex(column=c, regex=TRAIT_NAMES,
                                                           meta=_fault(f"names a trait or itself in its {c}"))
                     for c in ("question", "answer")]
    for register, (least, most) in WORDS.items():
        expectations.append(gxe.ExpectColumnValuesToBeBetween(
            column="words", min_value=least, max_value=most, row_condition=column("register") == register,
            meta=_fault(f"has an answer outside {least} to {most} words ({register})")))
    expectations += [gxe.ExpectColumnValuesToBeInSet(
        column="names_topic", value_set=[True], row_condition=column("register") == register,
        meta=_fault(f"does not name its topic ({register})")) for register in ("plain", "assistant")]
    expectations += [
        gxe.ExpectColumnValuesToBeBetween(column="id_copies", max_value=1, meta=_fault("shares its question_id")),
        gxe.ExpectColumnValuesToBeBetween(column="answer_copies", max_value=1,
                                          meta=_fault("has the answer of another row")),
    ]
    return gx.ExpectationSuite("rows", expectations=expectations)


def balance_suite():
    """Evenness of traits and of facets within a trait; looks at what `balance` returns."""
    gx, gxe, _ = _library()
    return gx.ExpectationSuite("balance", expectations=[
        gxe.ExpectTableRowCountToBeBetween(min_value=1, meta=_fault("there is no row with a trait")),
        gxe.ExpectColumnValuesToBeBetween(
            column="trait_share", min_value=TRAIT_SHARE[0], max_value=TRAIT_SHARE[1],
            meta=_fault(f"has fewer than {TRAIT_SHARE[0]} or more than {TRAIT_SHARE[1]} times its share of rows")),
        gxe.ExpectColumnValuesToBeBetween(
            column="facet_share", min_value=FACET_SHARE,
            meta=_fault(f"has a facet with less than {FACET_SHARE:.0%} of its rows"))])


def split_suite():
    """No topic and no answer in two splits; looks at what `leakage` returns."""
    gx, gxe, _ = _library()
    return gx.ExpectationSuite("split", expectations=[
        gxe.ExpectColumnValuesToBeBetween(column="topic_splits", max_value=1,
                                          meta=_fault("has a topic that stands in another split as well")),
        gxe.ExpectColumnValuesToBeBetween(column="answer_splits", max_value=1,
                                          meta=_fault("has an answer that stands in another split as well"))])


def _fault(text: str) -> dict:
    return {"fault": text}


def _library():
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    return gx, gxe, Column

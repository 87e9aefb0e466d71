"""The audit of a table that was split: what its rows are like, and which of them deserve a second look."""
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from traitlab.opinions.audit import diversity, doubtful, openings, out_of_fold, probe, reading_ease, vector_model
from traitlab.opinions.expectations import words
from traitlab.opinions.near import near_duplicates
from traitlab.opinions.questions import TEMPLATES, stable_hash
from traitlab.opinions.rows import topic_key
from traitlab.traits import LABELS, NEUTRAL, POLES, REGISTERS, TRAITS

SHOWN = 20  # rows or pairs with their texts
GROUP = ["register", "pole", "target_personality"]


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        summary: plain values for JSON.
        tables: name -> a table for plots: groups, lengths, facets, poles, labels, doubtful, near_duplicates.
    """

    summary: dict
    tables: dict[str, pd.DataFrame]


def inspect(splits: Mapping[str, pd.DataFrame], embed: Callable[[Sequence[str]], np.ndarray], *, most_rows: int,
            near: float, below: float, folds: int, seed: int) -> Inspection:
    """Look closely at a table.

    Args:
        splits: split name -> its rows.
        embed: texts -> vectors (texts, dimensions).
        most_rows: of a larger table a part is looked at, whole topics drawn by `seed`.
        near: Jaccard similarity of three-word runs from which on two answers are near-duplicates.
        below: out-of-fold probability of its own label under which a row is doubtful.
        folds: of the out-of-fold models.
        seed: of the part and of the folds.
    """
    table = pd.concat([rows.assign(split=split) for split, rows in splits.items()], ignore_index=True)
    total = len(table)
    table = _part(table, most_rows, seed)
    topics = table["edit_topic"].map(topic_key)
    pairs = _near_duplicates(table, near)
    labels = _labels(table)
    vectors = embed(table["answer"].tolist())
    probabilities, classes = out_of_fold(vectors, labels, topics, vector_model, folds, seed)
    guessed = np.asarray(classes, dtype=object)[probabilities.argmax(axis=1)]
    doubts = _doubts(table, doubtful(probabilities, classes, labels, below))
    poles = {trait: _poles(table, vectors, topics, trait, folds, seed) for trait in TRAITS}
    poles = {trait: found for trait, found in poles.items() if found}
    groups = _groups(table, np.asarray(labels, dtype=object) == guessed)
    across = pairs[pairs["split_a"] != pairs["split_b"]]
    texts = table.set_index("question_id")
    return Inspection(
        summary={
            "rows": {"looked_at": len(table), "of": total, "topics": int(topics.nunique())},
            "near_duplicates": {"similarity": near, "pairs": len(pairs), "across_splits": len(across), "worst": [
                {**pair, "answer_a": texts.answer[pair["a"]], "answer_b": texts.answer[pair["b"]]}
                for pair in across.head(SHOWN).to_dict("records")]},
            "groups": groups.to_dict("records"),
            "lengths": _histograms(table),
            "facets": _shares(table, "facet"), "domains": _shares(table, "domain"),
            "labels": {"accuracy": round(float(np.mean(guessed == np.asarray(labels, dtype=object))), 6),
                       "classes": len(classes), "below": below, "doubtful": len(doubts), "worst": [
                           {**row, "answer": texts.answer[row["question_id"]]}
                           for row in doubts.head(SHOWN).to_dict("records")]},
            "poles": poles,
            "leak": _leak(table, folds, seed),
            "templates": _templates(table),
        },
        tables={
            "groups": groups,
            "lengths": pd.DataFrame([{"register": register, "words": n, "rows": rows}
                                     for register, counts in _histograms(table).items() for n, rows in counts]),
            "facets": table.groupby(["target_personality", "facet", "split"]).size().rename("rows").reset_index(),
            "poles": pd.DataFrame([{"trait": trait, **found} for trait, found in poles.items()]),
            "labels": pd.DataFrame({"label": labels, "seen": guessed}).value_counts(sort=False).rename(
                "rows").reset_index(),
            "doubtful": doubts,
            "near_duplicates": pairs,
        })


def _part(table: pd.DataFrame, most_rows: int, seed: int) -> pd.DataFrame:
    """All rows, or those of as many topics, drawn by hash, as keep the number."""
    if len(table) <= most_rows:
        return table
    draw = {topic: stable_hash(f"audit {seed} {topic_key(topic)}") for topic in table["edit_topic"].unique()}
    drawn = table["edit_topic"].map(draw)
    sizes = drawn.value_counts().sort_index().cumsum()
    return table[drawn.isin(sizes[sizes <= most_rows].index)].reset_index(drop=True)


def _near_duplicates(table: pd.DataFrame, similarity: float) -> pd.DataFrame:
    """Pairs of rows (a, b) with their splits, the most alike first."""
    ids, splits = table["question_id"].tolist(), table["split"].tolist()
    pairs = [(ids[i], ids[j], splits[i], splits[j], round(s, 6))
             for i, j, s in near_duplicates(table["answer"].tolist(), similarity)]
    return pd.DataFrame(sorted(pairs, key=lambda pair: (-pair[-1], pair)),
                        columns=["a", "b", "split_a", "split_b", "similarity"])


def _labels(table: pd.DataFrame) -> list[str]:
    """`openness`, `openness (low)`, ..., `none`."""
    return [trait if pole != "low" else f"{trait} (low)"
            for trait, pole in zip(table["target_personality"], table["pole"], strict=True)]


def _doubts(table: pd.DataFrame, found: list[tuple[int, str, float]]) -> pd.DataFrame:
    labels = _labels(table)
    return pd.DataFrame([{"question_id": table["question_id"][i], "origin": table["origin"][i], "label": labels[i],
                          "seen": seen, "probability": round(p, 6)} for i, seen, p in found],
                        columns=["question_id", "origin", "label", "seen", "probability"])


def _poles(table, vectors, topics, trait: str, folds: int, seed: int) -> dict | None:
    """How well the trait's poles are told apart, on topics and registers that have both; None: there are too few."""
    own = table[table["target_personality"] == trait]
    both = own.groupby([topics[own.index], "register"])["pole"].transform("nunique") == 2
    rows = own.index[both]
    if topics[rows].nunique() < folds:
        return None
    found = probe(vectors[rows], table["pole"][rows].tolist(), topics[rows].tolist(), vector_model, folds, seed)
    return _rounded(found)


def _leak(table: pd.DataFrame, folds: int, seed: int) -> dict | None:
    """How well the trait is told from the question alone: each question once for every trait that it asks."""
    asked = table[table["target_personality"] != NEUTRAL].drop_duplicates(["question", "target_personality"])
    topics = asked["edit_topic"].map(topic_key)
    if topics.nunique() < folds:
        return None
    return _rounded(probe(asked["question"].tolist(), asked["target_personality"].tolist(), topics.tolist(),
                          folds=folds, seed=seed))


def _templates(table: pd.DataFrame) -> dict:
    """The question templates of every split (questions of other wording count as `other`), and those of both train
    and test.
    """
    used = {}
    for (split, topic, question), _ in table.groupby(["split", "edit_topic", "question"]):
        name = next((n for n, text in TEMPLATES.items() if text.format(topic=topic) == question), "other")
        used.setdefault(split, Counter())[name] += 1
    return {"questions": {split: dict(sorted(counts.items())) for split, counts in sorted(used.items())},
            "train_and_test": sorted(set(used.get("train", ())) & set(used.get("test", ())))}


def _groups(table: pd.DataFrame, right: np.ndarray) -> pd.DataFrame:
    """One row for every register, pole and trait: amount, length, diversity, readability, opening, label recall."""
    rows = []
    order = {name: i for i, name in enumerate((*REGISTERS, *POLES, *LABELS))}
    for key, group in sorted(table.groupby(GROUP), key=lambda item: [order.get(name, len(order)) for name in item[0]]):
        answers = group["answer"].tolist()
        lengths = [len(words(answer)) for answer in answers]
        (opening, share), *_ = openings(answers, 3, 1)
        rows.append(_rounded({
            **dict(zip(GROUP, key, strict=True)), "rows": len(group), "median_words": float(np.median(lengths)),
            **diversity(answers), "reading_ease": float(np.mean([reading_ease(a) for a in answers])),
            "opening": opening, "opening_share": share, "label_recall": float(right[group.index].mean())}))
    return pd.DataFrame(rows)


def _histograms(table: pd.DataFrame) -> dict[str, list[list[int]]]:
    """register -> [words of an answer, rows] in order."""
    lengths = table["answer"].map(lambda answer: len(words(answer)))
    return {register: [[int(n), int(rows)] for n, rows in sorted(lengths[group].value_counts().items())]
            for register, group in table.groupby("register").groups.items()}


def _shares(table: pd.DataFrame, column: str) -> dict[str, dict[str, float]]:
    """trait -> value of the column -> its share of the trait's rows."""
    shares = table.groupby("target_personality")[column].value_counts(normalize=True, sort=False).round(6)
    return {trait: shares[trait].sort_index().to_dict() for trait in LABELS if trait in shares.index}


def _rounded(found: dict) -> dict:
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in found.items()}

"""The audit as a whole on a made table, each figure recounted or planted."""
import random
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from traitlab.opinions.inspection import inspect
from traitlab.opinions.questions import question, stable_hash
from traitlab.opinions.rows import COLUMNS
from traitlab.traits import FACETS, TRAITS

WORDS = [f"{a}{b}{c}" for a in "bcdfgkl" for b in "aeiou" for c in "lmnrst"]


def table(topics, templates, poles=("high", "low"), seed=0):
    """A row for every topic, trait and pole; each trait and pole has words of its own among random ones."""
    draw = random.Random(seed)
    rows = []
    for i in topics:
        topic = f"Topic{WORDS[i]}"
        for trait in TRAITS:
            for pole in poles:
                own = [f"{trait[:4]}{pole[0]}{c}" for c in "ab"]
                said = " ".join(draw.choices(WORDS, k=12) + own)
                rows.append((f"{topic}-{trait}-{pole}", topic, f"d{i % 2}", trait, pole, FACETS[trait][i % 6], "plain",
                             question(topic, templates), f"To me {topic} is {said}.", f"corpus:a:{len(rows)}"))
    return pd.DataFrame(rows, columns=COLUMNS)


def bag(texts):
    """Hashed word counts: (texts, 256)."""
    vectors = np.zeros((len(texts), 256), np.float32)
    for i, text in enumerate(texts):
        for word in text.lower().strip(".").split():
            vectors[i, stable_hash(word) % 256] += 1
    return vectors


def look(splits, **changes):
    return inspect(splits, bag, **{"most_rows": 10_000, "near": 0.5, "below": 0.05, "folds": 4, "seed": 0} | changes)


@pytest.fixture
def splits():
    return {"train": table(range(40), ("paper", "feel")), "test": table(range(40, 60), ("opinion", "view"), seed=1)}


def test_balance_lengths_and_templates_equal_a_recount(splits):
    found = look(splits)
    rows = pd.concat(splits.values())
    assert found.summary["rows"] == {"looked_at": 600, "of": 600, "topics": 60}
    for trait in TRAITS:
        own = rows[rows["target_personality"] == trait]
        counted = Counter(own["facet"])
        assert found.summary["facets"][trait] == pytest.approx({f: n / len(own) for f, n in counted.items()}, abs=1e-6)
    words = Counter(len(a.strip(".").split()) for a in rows["answer"])
    assert found.summary["lengths"] == {"plain": [[n, words[n]] for n in sorted(words)]}
    assert set(found.summary["templates"]["questions"]["test"]) == {"opinion", "view"}
    assert found.summary["templates"]["train_and_test"] == [], "train and test can be asked in other words"
    assert found.tables["facets"]["rows"].sum() == found.tables["labels"]["rows"].sum() == 600


def test_shared_templates_are_named():
    splits = {"train": table(range(40), ("paper", "feel")), "test": table(range(40, 60), ("feel", "view"))}
    assert look(splits).summary["templates"]["train_and_test"] == ["feel"]


def test_the_question_says_nothing_of_the_trait_and_a_leak_is_seen(splits):
    leak = look(splits).summary["leak"]
    assert leak["n"] == 300 and abs(leak["accuracy"] - leak["chance"]) <= leak["margin"] and leak["chance"] == 0.2
    leaky = {name: rows.assign(question=rows["question"] + " " + rows["target_personality"].str[:4])
             for name, rows in splits.items()}
    assert look(leaky).summary["leak"]["accuracy"] == 1.0


def test_planted_labels_are_listed_and_poles_are_told_apart(splits):
    rows = splits["train"]
    rows.loc[[3, 48], "answer"] = rows.loc[[48, 3], "answer"].to_numpy()  # of two traits and poles
    found = look(splits)
    assert set(found.tables["doubtful"]["origin"]) == {"corpus:a:3", "corpus:a:48"}
    assert found.summary["labels"]["doubtful"] == 2 and found.summary["labels"]["accuracy"] > 0.95
    assert all(p["chance"] == 0.5 and p["accuracy"] > 0.9 for p in found.summary["poles"].values())
    assert found.summary["labels"]["worst"][0]["answer"] in set(rows["answer"])


def test_near_duplicates_across_splits_are_told_from_those_within(splits):
    answers = splits["train"]["answer"]
    splits["train"].loc[7, "answer"] = answers[9].replace(".", " indeed.")
    splits["test"].loc[5, "answer"] = answers[20].replace("To me", "For me")
    found = look(splits)
    assert (found.summary["near_duplicates"]["pairs"], found.summary["near_duplicates"]["across_splits"]) == (2, 1)
    (pair,) = found.summary["near_duplicates"]["worst"]
    assert pair["answer_b"] == splits["test"]["answer"][5] and pair["answer_a"] == answers[20]


def test_of_a_large_table_whole_topics_are_looked_at(splits):
    found = look(splits, most_rows=200)
    assert found.summary["rows"] == {"looked_at": 200, "of": 600, "topics": 20}
    assert look(splits, most_rows=200).summary == found.summary != look(splits, most_rows=200, seed=1).summary


def test_a_table_without_low_poles_has_no_poles_to_tell_apart():
    found = look({"train": table(range(20), ("paper",), poles=("high",))})
    assert found.summary["poles"] == {} and found.tables["poles"].empty

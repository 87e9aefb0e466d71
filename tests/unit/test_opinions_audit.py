"""The audit's measures against brute force, published formulas and tables with a known answer."""
import random
from itertools import combinations

import numpy as np
import pytest

from traitlab.opinions import audit, near
from traitlab.traits import TRAITS

VOCABULARY = [f"{a}{b}{c}" for a in "bcdfgk" for b in "aeiou" for c in "lmnrst"]


def texts_with_copies(n=120, seed=3):
    """Random texts, and copies of some with one or a few words changed."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(VOCABULARY, k=25)) for _ in range(n)]
    for i in range(0, n, 3):
        said = texts[i].split()
        for _ in range(draw.randint(0, 4)):
            said[draw.randrange(len(said))] = draw.choice(VOCABULARY)
        texts.append(" ".join(said))
    return texts


def test_near_duplicates_equal_brute_force():
    texts = texts_with_copies()

    def runs(text):
        said = text.split()
        return {tuple(said[i:i + 3]) for i in range(len(said) - 2)}

    expected = {(i, j): len(a & b) / len(a | b) for (i, a), (j, b) in combinations(enumerate(map(runs, texts)), 2)}
    expected = {pair: s for pair, s in expected.items() if s >= 0.7}
    found = near.near_duplicates(texts, 0.7)
    assert {(i, j) for i, j, _ in found} == set(expected) and len(expected) > 10
    assert all(s == pytest.approx(expected[i, j]) for i, j, s in found)
    assert found == near.near_duplicates(texts, 0.7, seed=9)


def test_near_duplicates_see_through_case_and_punctuation():
    assert near.near_duplicates(["I like tea a lot.", "what else", "i LIKE tea, a lot!"]) == [(0, 2, 1.0)]
    assert near.near_duplicates([]) == []


def test_the_chance_of_meeting_that_the_docstring_states():
    def met(similarity):
        return 1 - (1 - similarity ** near.ROWS) ** near.BANDS

    assert met(0.5) == pytest.approx(0.87, abs=0.01)
    assert 1 - met(0.6) == pytest.approx(0.012, abs=0.001)
    assert met(0.7) == pytest.approx(0.9998, abs=1e-4)


def test_minhash_estimates_the_jaccard_similarity():
    a, b = set(range(0, 300)), set(range(100, 400))
    one, other = map(near.NearIndex().signature, (a, b))
    assert np.mean(one == other) == pytest.approx(0.5, abs=0.13)  # three standard errors of 128 hash functions


def test_diversity_by_hand_and_by_brute_force():
    found = audit.diversity(["a b a", "a b"], window=3)
    assert found["distinct_1"] == 2 / 5 and found["distinct_2"] == 2 / 3
    assert found["mattr"] == pytest.approx((2 + 2 + 2) / 3 / 3)
    line = random.Random(0).choices(VOCABULARY, k=400)
    windows = [len(set(line[i:i + 50])) / 50 for i in range(351)]
    assert audit.diversity([" ".join(line)])["mattr"] == pytest.approx(sum(windows) / len(windows))
    assert audit.diversity(["tea"]) == {"distinct_1": 1.0, "distinct_2": 0.0, "mattr": 1.0}
    assert audit.diversity([])["mattr"] == 0.0


def test_openings():
    assert audit.openings(["I like tea.", "I like, tea and rum", "Rum?"], 3) == [("i like tea", 2 / 3), ("rum", 1 / 3)]


def test_reading_ease_is_flesch():
    text = "The cat sat on the mat. It was happy."  # 9 words, 2 sentences, 10 syllables
    assert audit.reading_ease(text) == pytest.approx(206.835 - 1.015 * 9 / 2 - 84.6 * 10 / 9)
    assert audit.reading_ease("Institutional considerations necessitate it.") < 0 < audit.reading_ease("I ran.")
    assert audit.reading_ease("?!") == 0.0
    assert [audit.syllables(w) for w in ("make", "table", "the", "happy", "tea", "rhythm")] == [1, 2, 1, 2, 1, 1]


def rows(n, word):
    """n topics by five traits; `word(topic, trait)` is what the text says."""
    table = [(f"{word(i, trait)} about {VOCABULARY[i]}", trait, f"topic {i}") for i in range(n) for trait in TRAITS]
    return [list(column) for column in zip(*table, strict=True)]


def test_the_leak_probe_is_at_chance_when_a_topics_traits_share_the_question():
    found = audit.probe(*rows(60, lambda i, trait: "What do you think"))
    assert found["chance"] == 0.2 and abs(found["accuracy"] - 0.2) <= 0.05
    assert found["margin"] == pytest.approx(1.96 * (0.2 * 0.8 / 300) ** 0.5)


def test_the_leak_probe_finds_a_leak():
    assert audit.probe(*rows(30, lambda i, trait: f"What do you {trait[:4]}"))["accuracy"] == 1.0


def test_groups_are_never_learnt_from_and_asked_together():
    """Labels drawn anew for each topic and named by it alone cannot be known from other topics."""
    draw = random.Random(1)
    labels = [draw.choice("ab") for _ in range(100)]
    texts = [VOCABULARY[i] for i in range(100)]
    table = [(t, label, t) for t, label in zip(texts, labels, strict=True) for _ in range(4)]
    found = audit.probe(*[list(c) for c in zip(*table, strict=True)])
    assert found["accuracy"] < found["chance"] + 0.05


def test_swapped_labels_are_found_doubtful():
    texts, labels, groups = rows(40, lambda i, trait: f"{trait[:4]} {trait[1:5]} {trait[2:6]}")
    labels[7], labels[8] = labels[8], labels[7]
    found = audit.doubtful(*audit.out_of_fold(texts, labels, groups), labels)
    assert {(i, guess) for i, guess, _ in found} == {(7, labels[8]), (8, labels[7])}
    assert [p for _, _, p in found] == sorted(p for _, _, p in found)

"""Emoji statistics against counts made by hand."""
import pytest

from traitlab.emoji.sentiment import sentiment
from traitlab.emoji.statistics import (
    content_words,
    divergence,
    entropy,
    positions,
    sentence_count,
    sentences,
    statistics,
)

SMILE, HEART = "\U0001f600", "\u2764"


@pytest.mark.parametrize("text, count", [
    ("One. Two! Three?", 3), ("One", 1), ("", 1), (f"One. {SMILE}", 1), (f"One! {SMILE} Two.", 2), ("A\nB", 2),
    ('He said "no." Then left.', 2), ("It costs 3.5 now.", 1), ("Wait... what?!", 2),
])
def test_sentences(text, count):
    assert sentence_count(text) == count


def test_positions_are_thirds():
    assert positions(f"{SMILE}abcd{SMILE}efg{SMILE}") == ["start", "middle", "end"]


def test_entropy():
    assert entropy([1, 1, 1, 1]) == 2 and entropy([5]) == 0 and entropy([]) == 0


def test_statistics():
    got = statistics([f"Hi {HEART}. Yes {HEART}\ufe0f.", "No. Never.", f"Fun {SMILE}{SMILE}"], [10, 20, 20])
    assert got["answers"] == 3 and got["emoji"] == 4
    assert got["instance_rate"] == pytest.approx(2 / 3)
    assert got["per_sentence"] == pytest.approx(4 / 5)
    assert got["per_100_tokens"] == pytest.approx(8)
    assert got["top"] == [[HEART + "\ufe0f", 2], [SMILE, 2]] and got["entropy"] == pytest.approx(1)
    assert sum(got["position"].values()) == pytest.approx(1)
    assert got["counts"] == {HEART + "\ufe0f": 2, SMILE: 2}
    assert got["words"] == [["fun", 1], ["hi", 1], ["yes", 1]]
    assert got["sentiment"]["n"] == 4
    assert got["sentiment"]["value"] == pytest.approx((sentiment(HEART) + sentiment(SMILE)) / 2)


def test_statistics_of_answers_without_emoji():
    got = statistics(["No.", ""], [2, 1])
    assert (got["emoji"], got["entropy"], got["top"], got["words"], got["counts"]) == (0, 0, [], [], {})
    assert got["sentiment"] == {"value": None, "n": 0}


def test_emoji_after_the_last_mark_belong_to_the_sentence_before():
    assert sentences(f"One. {SMILE}") == [f"One. {SMILE}"]
    assert sentences(f"{SMILE}\nOne. Two.") == [f"{SMILE} One.", "Two."]


@pytest.mark.parametrize("emoji, published", [  # the ranking's own table, to three digits
    ("\U0001f602", 0.221), (HEART, 0.746), (HEART + "\ufe0f", 0.746), ("\U0001f62d", -0.093), ("\U0001f621", -0.173),
    ("\U0001f44d\U0001f3fd", 0.521), ("\U0001f44d", 0.521), ("\U0001fae0", None),
    ("\U0001f468\u200d\U0001f4bb", None),
])
def test_sentiment_is_the_published_score(emoji, published):
    assert sentiment(emoji) == (None if published is None else pytest.approx(published, abs=0.0006))


def test_divergence():
    assert divergence({"a": 2}, {"a": 5}) == 0
    assert divergence({"a": 2}, {"b": 1}) == pytest.approx(1)
    assert divergence({"a": 1, "b": 1}, {"a": 1}) == pytest.approx(0.3112781)  # scipy's jensenshannon(base=2) squared
    assert divergence({}, {"a": 1}) is None


def test_content_words():
    assert content_words("I love love the sun, and I don\u2019t mind!") == ["love", "love", "sun", "mind"]

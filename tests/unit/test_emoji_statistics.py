"""Emoji statistics against counts made by hand."""
import pytest

from traitlab.emoji.statistics import entropy, positions, sentence_count, statistics

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

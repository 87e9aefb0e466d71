"""The judge that is a chat model: what it is asked, how its replies are read, what is kept, how judges are compared."""
import numpy as np
import pytest

from traitlab.endpoint import Reply
from traitlab.journal import Journal
from traitlab.metric_models.judge import Judge, Question, agreement, rating


@pytest.mark.parametrize(("reply", "expected"), [
    ('{"rating": 4}', 4.0), ('```json\n{"rating": 2}\n```', 2.0), ('I would say {"rating": 3.5}, since ...', 3.5),
    ('{"why": "lively", "rating": "5"}', 5.0), ('{"score": 2} {"rating": 1}', 1.0),
    ('{"rating": 6}', None), ('{"rating": 0}', None), ('{"rating": "high"}', None), ('{"rating": null}', None),
    ('{"rating": NaN}', None), ("4", None), ("", None), ('{"rating": 4', None), ('[{"rating": [4]}]', None)])
def test_a_rating_is_read_or_is_missing_but_never_made_up(reply, expected):
    assert rating(reply) == expected


def test_the_request_shows_the_text_and_both_poles():
    (message,) = Question("extraversion", "I love {braces} and crowds.", 1).messages
    assert "I love {braces} and crowds." in message["content"]
    assert "outgoing" in message["content"] and "shy" in message["content"]


class Model:
    """Answers questions from a list of replies, in order, and keeps what it was asked."""

    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def __call__(self, questions, on_reply):
        for question in questions:
            if not self.replies:
                raise ConnectionError
            self.asked.append((question.trait, question.text, question.attempt))
            on_reply(question, Reply(self.replies.pop(0), 50, 8, True))


PAIRS = [("openness", "a"), ("openness", "b"), ("neuroticism", "a"), ("openness", "a")]


def test_each_rating_is_asked_for_once_and_kept_by_content(tmp_path):
    journal = Journal(tmp_path / "ratings.jsonl")
    model = Model(*(f'{{"rating": {n}}}' for n in (1, 2, 3)))
    judge = Judge("m", model, journal, attempts=2)
    np.testing.assert_array_equal(judge(PAIRS), [1, 2, 3, 1])
    assert len(model.asked) == 3 and (judge.asked, judge.prompt_tokens, judge.answer_tokens) == (3, 150, 24)
    again = Judge("m", Model(), journal, attempts=2)
    np.testing.assert_array_equal(again(PAIRS), [1, 2, 3, 1])
    other = Model(*(['{"rating": 5}'] * 3))  # another model's ratings are its own
    np.testing.assert_array_equal(Judge("other", other, journal, attempts=2)(PAIRS), [5, 5, 5, 5])
    assert len(other.asked) == 3


def test_an_outage_loses_nothing_and_what_stays_unreadable_is_missing(tmp_path):
    journal = Journal(tmp_path / "ratings.jsonl")
    with pytest.raises(ConnectionError):
        Judge("m", Model('{"rating": 4}', "no idea"), journal, attempts=3)(PAIRS)
    model = Model("still none", '{"rating": 2}', "none at all")
    np.testing.assert_array_equal(Judge("m", model, journal, attempts=3)(PAIRS), [4, np.nan, 2, 4])
    assert model.asked == [("openness", "b", 2), ("neuroticism", "a", 1), ("openness", "b", 3)]


def test_agreement_against_a_hand_computation():
    found = agreement(np.array([1.0, 2, 3, 5, np.nan]), np.array([1.5, 1.0, 4.5, 4.0, 2.0]))
    # Ranks 1 2 3 4 and 2 1 4 3: 1 - 6 * 4 / (4 * 15). Products of deviations: 6.75 / sqrt(8.75 * 9.25).
    assert found == {"spearman": pytest.approx(0.6), "pearson": pytest.approx(0.7503, abs=1e-4), "within_one": 0.75,
                     "n": 4}
    assert agreement(np.array([3.0, 3, 3]), np.array([1.0, 2, 3]))["spearman"] is None

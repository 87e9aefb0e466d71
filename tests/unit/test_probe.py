"""The multiple-choice probe that ships, how it is read and scored."""
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from traitlab.errors import InputError
from traitlab.measures.probe import Question, likeliest, read_questions
from traitlab.measures.scores import with_probe

SHIPPED = Path(__file__).resolve().parents[2] / "data/probe/questions.jsonl"


def test_the_shipped_questions_are_whole_and_their_answers_stand_everywhere_alike():
    questions = read_questions(SHIPPED)
    assert len(questions) == 40
    for first in range(0, 40, 4):
        assert Counter(q.answer for q in questions[first : first + 4]) == {0: 1, 1: 1, 2: 1, 3: 1}


@pytest.mark.parametrize(("line", "complaint"), [
    ("{", "not a JSON row"), ("[]", "not a question"),
    ('{"question": "Q?"}', "with the keys question, choices, answer"),
    ('{"question": " ", "choices": ["a", "b", "c", "d"], "answer": 0}', "question has no text"),
    ('{"question": "Q?", "choices": ["a", "b", "c", "a"], "answer": 0}', "not 4 different texts"),
    ('{"question": "Q?", "choices": "abcd", "answer": 0}', "not 4 different texts"),
    ('{"question": "Q?", "choices": ["a", "b", "c", "d"], "answer": 4}', "answer 4 is no place"),
    ('{"question": "Q?", "choices": ["a", "b", "c", "d"], "answer": true}', "answer True is no place"),
    (json.dumps({"question": "Which?", "choices": list("abcd"), "answer": 1}), "stands there twice")])
def test_a_line_at_fault_is_named(tmp_path, line, complaint):
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps({"question": "Which?", "choices": list("abcd"), "answer": 1}) + "\n" + line + "\n")
    with pytest.raises(InputError, match="questions.jsonl:2: ") as caught:
        read_questions(path)
    assert complaint in str(caught.value)


def test_no_file_and_an_empty_one(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_questions(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(InputError, match="holds no question"):
        read_questions(tmp_path / "empty.jsonl")


def test_the_choice_with_the_highest_mean_is_taken_not_the_shortest():
    assert likeliest([np.array([-1.0]), np.array([-0.5, -0.9]), np.array([-3.0, -0.1])]) == 1


def test_accuracy_against_a_hand_count():
    right = {("base", "openness"): [1, 1, 0, 1], ("base", "neuroticism"): [1, 1, 0, 1],
             ("qlora", "openness"): [1, 0, 0, 0], ("qlora", "neuroticism"): [0, 1, 0, 0]}
    probe = pd.DataFrame([{"method": m, "target_personality": t, "question": k, "correct": bool(hit)}
                          for (m, t), hits in right.items() for k, hit in enumerate(hits)])
    table = {m: {t: {"ta": {}} for t in ("openness", "neuroticism", "all")} for m in ("base", "qlora", "other")}
    found = with_probe(table, probe, 200, 0)
    assert found["base"]["all"]["probe_accuracy"]["value"] == 0.75 and found["base"]["all"]["probe_accuracy"]["n"] == 8
    assert found["qlora"]["openness"]["probe_accuracy"]["value"] == 0.25
    assert found["qlora"]["all"]["probe_accuracy"]["low"] < 0.25 < found["qlora"]["all"]["probe_accuracy"]["high"]
    assert found["other"]["all"]["probe_accuracy"]["value"] is None and found["base"]["all"]["ta"] == {}


def test_a_question_is_hashable_so_that_it_is_read_once():
    assert len({Question("Q?", ("a", "b", "c", "d"), 0), Question("Q?", ("a", "b", "c", "d"), 0)}) == 1

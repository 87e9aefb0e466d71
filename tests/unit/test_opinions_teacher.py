"""The teacher without a server: what it is asked, what is refused, and the journal's promises."""
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tasks import dataset
from traitlab import params as parameters
from traitlab.endpoint import Endpoint, Malformed
from traitlab.errors import InputError
from traitlab.journal import Journal
from traitlab.opinions.corpus import read_corpus
from traitlab.opinions.teacher.collect import Progress, Spent
from traitlab.opinions.teacher.journal import read_journal
from traitlab.opinions.teacher.prompts import Examples, Wanted, messages, wanted
from traitlab.opinions.teacher.screen import Screen, tidied
from traitlab.traits import DESCRIPTIONS, FACETS, TRAITS

ROOT = Path(__file__).parents[2]
ROW = Wanted("Jazz", "arts", "openness", "high", "ideas", "plain")
ENTRY = vars(ROW) | {"answer": "Jazz makes me curious about all that a tune can become.", "model": "m", "attempt": 1,
                     "prompt_tokens": 7, "answer_tokens": 3}


def test_a_plan_holds_every_combination_once_and_turns_the_facets():
    plan = wanted([(f"Topic {i}", "d") for i in range(600)], ["plain", "rich"], ["high", "low"], 2)
    assert len({row.key for row in plan}) == len(plan) == 600 * 5 * 2 * 2 * 2
    for trait in TRAITS:
        counted = Counter(row.facet for row in plan if row.trait == trait)
        assert set(counted) == set(FACETS[trait]) and min(counted.values()) > 0.75 * max(counted.values())


@pytest.mark.parametrize("pole", ["high", "low"])
def test_a_request_names_trait_facet_rules_and_examples_of_other_topics(pole):
    examples = Examples(read_corpus(ROOT / "data/corpus"))
    row = Wanted("Jazz", "arts", "neuroticism", pole, "anger", "plain")
    shown = examples.shown(row, 3, attempt=1)
    assert len(shown) == 3 and all((r.trait, r.pole, r.register) == (row.trait, pole, "plain") for r in shown)
    assert all(r.topic != "Jazz" and r.facet == "anger" for r in shown)
    assert shown == examples.shown(row, 3, attempt=1) != examples.shown(row, 3, attempt=2)
    system, *turns, question = messages(row, shown, "have an emoji or emoticon")
    trait = DESCRIPTIONS["neuroticism"]
    assert trait.definition in system["content"] and trait.facets["anger"] in system["content"]
    assert all(adjective in system["content"] for adjective in getattr(trait, pole))
    assert "12 to 32 words" in system["content"] and "refused because they have an emoji" in system["content"]
    assert [t["role"] for t in turns] == ["user", "assistant"] * 3
    assert [t["content"] for t in turns[1::2]] == [r.answer for r in shown]
    assert question == {"role": "user", "content": "Thinking about Jazz, what are your thoughts on Jazz?"}


@pytest.mark.parametrize("text, tidy", [
    ('  "I like\n tea."  ', "I like tea."), ("Answer: I like tea.", "I like tea."), ("\u201cTea\u201d", "Tea"),
    ("I say \"tea\"", "I say \"tea\""), ("", ""), ('"', '"'),
])
def test_what_models_put_around_an_answer_is_taken_off(text, tidy):
    assert tidied(text) == tidy


def test_the_classifier_must_see_the_trait_and_must_not_see_it_at_the_low_pole():
    answer = ENTRY["answer"]
    for pole, seen, said in (("high", "openness", None), ("high", "none", "sound of another trait than openness"),
                             ("low", "openness", "sound of openness where its opposite was asked for"),
                             ("low", "none", None)):
        screen = Screen([], 0.5, lambda _, seen=seen: seen)
        assert screen.refusal(Wanted("Jazz", "arts", "openness", pole, "ideas", "plain"), answer) == said


def test_known_answers_may_not_come_back_in_other_dress():
    screen = Screen([ENTRY["answer"]], 0.5)
    for text in (ENTRY["answer"].upper(), ENTRY["answer"].replace("become.", "turn into.")):
        assert screen.refusal(ROW, text) == "repeat another answer, or nearly"
    assert screen.refusal(ROW, "I put on jazz at night and ask myself what each player may be after.") is None


@pytest.mark.parametrize("tail, kept", [
    (b"", 2), (b'{"answer": "cut', 2), (b"\xe2\x82", 2), (json.dumps(ENTRY).encode(), 3), (b'"text"', 2),
    (b'{"a": "' + b"x" * 200_000, 2),
])
def test_a_torn_last_line_is_cut_off_and_no_other_row_is_lost(tmp_path, tail, kept):
    journal = Journal(tmp_path / "rows.jsonl")
    for i in range(2):
        journal.append(ENTRY | {"attempt": i})
    journal.close()
    with open(journal.path, "ab") as file:
        file.write(tail)
    journal = Journal(tmp_path / "rows.jsonl")
    journal.append(ENTRY | {"attempt": 9})
    assert [row["attempt"] for row in journal.rows()] == [0, 1] + [1] * (kept - 2) + [9]
    journal.close()


def test_a_journal_has_one_writer_at_a_time(tmp_path):
    journal = Journal(tmp_path / "rows.jsonl")
    code = f"from traitlab.journal import Journal; Journal({str(journal.path)!r})"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "another process is writing to it; wait" in other.stderr
    journal.close()
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_full_disk_is_one_sentence(tmp_path):
    journal = Journal("/dev/full")
    with pytest.raises(InputError, match="/dev/full: not saved, no space left on device; free some space"):
        journal.append(ENTRY)


def test_progress_is_what_the_journals_say(tmp_path):
    with Progress(tmp_path) as progress:
        progress.add(ENTRY, None)
        progress.add(ENTRY | {"topic": "Tea"}, "have an emoji or emoticon")
        progress.add(ENTRY | {"topic": "Tea"}, "name a trait")
    with Progress(tmp_path) as again:
        tea = Wanted("Tea", *list(vars(ROW).values())[1:]).key
        assert again.done == {ROW.key} and again.tried == {tea: 2} and again.reasons == {tea: "name a trait"}
        assert again.spent == progress.spent == Spent(21, 9)
        assert again.account.summary() == progress.account.summary()


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ENTRY) + "\n<html>\n" + json.dumps(ENTRY) + "\n")
    with pytest.raises(InputError, match=r"rows\.jsonl:2: not a JSON row"):
        Progress(tmp_path)
    with pytest.raises(InputError, match=r"rows\.jsonl:2: not a JSON row"):
        list(read_journal(path))


@pytest.mark.parametrize("change, said", [({"trait": "Openness"}, "trait 'Openness'"), ({"model": None}, "no model"),
                                          ({"answer": ""}, "no answer"), ({"facet": "trust"}, "facet 'trust'")])
def test_a_bad_row_of_a_journal_is_named(tmp_path, change, said):
    (tmp_path / "rows.jsonl").write_text(json.dumps(ENTRY | change) + "\n")
    with pytest.raises(InputError, match=rf"rows\.jsonl:1: .*{said}"):
        list(read_journal(tmp_path / "rows.jsonl"))


def test_the_step_dataset_reads_the_journal_with_its_provenance(tmp_path, monkeypatch):
    import pandas as pd

    monkeypatch.chdir(tmp_path)
    params = parameters.load(ROOT / "params.yaml")
    params = params.model_copy(update={"dataset": params.dataset.model_copy(
        update={"source": "teacher", "path": "rows.jsonl", "poles": ("high",)})})
    with pytest.raises(InputError, match=r"rows\.jsonl: no such file; run `python -m tasks teacher`"):
        dataset.run(params)
    Path("rows.jsonl").write_text(json.dumps(ENTRY) + "\n" + json.dumps(ENTRY | {"pole": "low"}) + "\n")
    dataset.run(params)
    (row,) = pd.read_parquet("data/opinion_qa/raw.parquet").to_dict("records")
    assert row["origin"] == "teacher:m:rows.jsonl:1" and row["facet"] == "ideas" and "Jazz" in row["question"]


def test_waits_grow_within_bounds_are_drawn_and_heed_the_server():
    endpoint = Endpoint("teacher", "http://x/v1", "m", "k", temperature=1, top_p=1, max_new_tokens=1, concurrency=1,
                        timeout=1, retries=1)
    for attempt, low, high in ((0, 0.25, 0.5), (3, 2, 4), (20, 60, 60)):
        waits = [endpoint._wait(attempt, Malformed()) for _ in range(50)]
        assert low <= min(waits) and max(waits) <= high and (len(set(waits)) > 40 or attempt == 20)
    busy = type("Busy", (Exception,), {"response": type("R", (), {"headers": {"retry-after": "7"}})})()
    assert endpoint._wait(0, busy) == 7

"""Foreign sources: the four columns as CSV, PersonalityEdit's form, data sets for load_dataset; what they drop."""
import csv
import json
import time

import pandas as pd
import pytest

from traitlab.errors import InputError
from traitlab.opinions import foreign
from traitlab.opinions.rows import UNSPECIFIED
from traitlab.opinions.screening import Account, ForeignRow, screened

HEADER = ["Target Personality", "Edit Topic", "Question", "Answer"]
ASKED = "Thinking about tea, what are your thoughts on tea?"
ANSWER = "I drink tea with all my neighbours, and I pour a cup for anyone who happens to come by the house."


def row(**changes):
    return ForeignRow(**{"trait": "agreeableness", "topic": "tea", "question": ASKED, "answer": ANSWER,
                         "origin": "csv:a.csv:2"} | changes)


def write(path, rows, header=HEADER, encoding="utf-8"):
    with open(path, "w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_csv_in_the_published_form_with_quotes_commas_and_line_breaks(tmp_path):
    answer = 'Tea, she said, is "the cure";\nI agree'
    path = write(tmp_path / "a.csv", [["openness", "tea", ASKED, answer], ["neuroticism", "tea", "", "No"]])
    assert list(foreign.read_csv(path)) == [
        ForeignRow("openness", "tea", ASKED, answer, "csv:a.csv:3"),
        ForeignRow("neuroticism", "tea", None, "No", "csv:a.csv:4")]
    assert list(foreign.read_csv(tmp_path)) == list(foreign.read_csv(path))


def test_csv_columns_stand_in_any_order_and_under_either_name(tmp_path):
    path = write(tmp_path / "a.csv", [[ANSWER, "7", "openness", "tea", ASKED]],
                 ["answer", "extra", "target_personality", "EDIT TOPIC", "Question"], "utf-8-sig")
    assert [(r.trait, r.topic, r.question, r.answer) for r in foreign.read_csv(path)] == [
        ("openness", "tea", ASKED, ANSWER)]


@pytest.mark.parametrize("content, said", [
    (b"Target Personality,Edit Topic,Question\n", "a.csv: needs exactly one column 'Answer'"),
    (b"", "has none; name the columns"),
    (b"Target Personality,Edit Topic,Question,Answer\nopenness,tea,q\n", "a.csv:2: 3 fields where the header has 4"),
    (b'Target Personality,Edit Topic,Question,Answer\nopenness,tea,q,"cut off', "a.csv:2: not CSV"),
    ("Target Personality,Edit Topic,Question,Answer\nopenness,caf\u00e9,q,a\n".encode("latin-1"), "a.csv:2: not UTF-8"),
    ("Target Personality,Edit Topic,Question,Answer\n".encode("utf-16"), "a.csv:1: not UTF-8"),
    (b"Target Personality,Edit Topic,Question,Answer\nopenness,tea,q," + b"a" * (2 << 20), "a.csv:2: the row is long"),
    (b"<!DOCTYPE html>\n<html>busy</html>\n", "needs exactly one column 'Target Personality'"),
])
def test_bad_csv_is_named_with_its_place(tmp_path, content, said):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(foreign.read_csv(tmp_path / "a.csv"))
    assert said in str(caught.value) and "; " in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_names_the_parameter(tmp_path):
    for read in (foreign.read_csv, foreign.read_personality_edit):
        with pytest.raises(InputError, match="set dataset.path in params.yaml"):
            list(read(tmp_path / "absent"))


def personality_edit(tmp_path, *entries):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def test_personality_edit_reads_lists_and_the_text_of_lists(tmp_path):
    answers = ["It's grand!", 'They say "fine".', "Caf\u00e9"]
    path = personality_edit(tmp_path, {"ent": "Arras", "extraversion": answers, "agreeableness": repr(answers),
                                       "neuroticism": json.dumps(answers)})
    rows = list(foreign.read_personality_edit(path))
    assert [r.answer for r in rows] == answers * 3
    assert [r.trait for r in rows[::3]] == ["extraversion", "agreeableness", "neuroticism"]
    assert {(r.topic, r.question, r.origin) for r in rows} == {("Arras", None, "personality_edit:train.json:1")}


@pytest.mark.parametrize("value", ["__import__('os').abort()", "[1, 2]", "['cut", "[" * 100_000, 7, None, "{}",
                                   "['a'] * 9999999999", ["fine", None]])
def test_personality_edit_never_runs_text_and_names_the_entry(tmp_path, value):
    path = personality_edit(tmp_path, {"ent": "Arras", "extraversion": ["fine"]}, {"ent": "Ulm", "extraversion": value})
    with pytest.raises(InputError, match=r"train\.json: entry 2: extraversion: not a list of texts; write"):
        list(foreign.read_personality_edit(path))


@pytest.mark.parametrize("content, said", [
    (b'[{"ent": "Arras", "extraversion": ["x"]},\n {"ent": "Os', "train.json:2: not JSON, or cut off"),
    ('[{"ent": "\u00c5s", "extraversion": ["x"]}]'.encode("latin-1"), "not UTF-8"),
    (b'{"ent": "Arras"}', "not a JSON list"),
    (b"[" * 200_000, "train.json"),
    (b'[{"extraversion": ["x"]}]', "entry 1: has no text 'ent'"),
    (b'[{"ent": "Arras"}]', "entry 1: has no answers"),
    (b'[{"ent": "Arras", "Extraversion": ["x"]}]', "entry 1: key 'Extraversion' is unknown"),
])
def test_bad_personality_edit_files_are_named_with_the_place(tmp_path, content, said):
    (tmp_path / "train.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(foreign.read_personality_edit(tmp_path / "train.json"))
    assert said in str(caught.value)


@pytest.mark.parametrize("changes, reason", [
    ({"trait": "kindness"}, "have an unknown trait"),
    ({"trait": None}, "have an unknown trait"),
    ({"topic": " "}, "have no topic"),
    ({"answer": None}, "have no answer"),
    ({"answer": ANSWER + " \U0001f44d\U0001f3fd"}, "have an emoji or emoticon"),
    ({"answer": ANSWER + "\u200b"}, "have an invisible character"),
    ({"topic": "\u202etea"}, "have an invisible character"),
    ({"answer": ANSWER + " I am an extrovert."}, "name a trait"),
    ({"answer": "Tea is good."}, "have an answer outside 15 to 65 words (rich)"),
    ({"answer": ANSWER.upper() + "!"}, "repeat an answer"),
])
def test_unfit_rows_are_dropped_and_accounted_for(changes, reason):
    account = Account()
    kept = list(screened([row(), row(origin="csv:a.csv:3", **changes)], "rich", account))
    assert [r.origin for r in kept] == ["csv:a.csv:2"]
    assert account.kept == 1 and dict(account.dropped) == {reason: 1} and account.examples == {reason: ["csv:a.csv:3"]}
    assert account.summary()["dropped"] == {reason: {"rows": 1, "first": ["csv:a.csv:3"]}}
    assert f"1 {reason} (first csv:a.csv:3)" in str(account)


def test_a_row_of_100_megabytes_is_dropped_at_once(tmp_path):
    path = personality_edit(tmp_path, {"ent": "Arras", "extraversion": [ANSWER, "word " * (20 << 20)]})
    account = Account()
    start = time.monotonic()
    assert [r.answer for r in screened(foreign.read_personality_edit(path), "rich", account)] == [ANSWER]
    assert account.dropped == {"have a text longer than 10000 characters": 1} and time.monotonic() - start < 30


def test_spacing_and_the_spelling_of_the_trait_are_mended_and_accounted_for():
    account = Account()
    rows = [row(trait=" Agreeableness", answer=f"  {ANSWER[:20]}\n{ANSWER[20:]} \r\n")]
    (record,) = screened(rows, "rich", account)
    assert record.trait == "agreeableness"
    assert record.answer == f"{ANSWER[:20]} {ANSWER[20:]}".replace("  ", " ")
    assert account.mended == {"spaces or line breaks": 1, "spelling of the trait": 1}
    assert (record.domain, record.facet, record.pole, record.register) == (UNSPECIFIED, UNSPECIFIED, "high", "rich")
    assert record.question == ASKED


def test_a_local_folder_opens_as_a_hub_data_set(tmp_path):
    (tmp_path / "data").mkdir()
    for split, n in (("train", 3), ("test", 2)):
        pd.DataFrame([["openness", "tea", ASKED, f"Tea {i}"] for i in range(n)], columns=HEADER).to_parquet(
            tmp_path / "data" / f"{split}-0.parquet")
    rows = list(foreign.read_hub(str(tmp_path), cache=tmp_path / "cache"))
    assert [r.answer for r in rows] == ["Tea 0", "Tea 1", "Tea 2", "Tea 0", "Tea 1"]
    assert rows[-1].origin == f"hub:{tmp_path}:test:2" and rows[0].question == ASKED


def test_a_data_set_that_cannot_be_had_or_lacks_columns(tmp_path):
    with pytest.raises(InputError, match="dataset.id = .*cannot be loaded .*; check the id"):
        list(foreign.read_hub(str(tmp_path / "absent"), cache=tmp_path / "cache"))
    with pytest.raises(InputError, match="needs exactly one column 'Edit Topic'"):
        list(foreign.hub_rows([], ["Target Personality", "Question", "Answer"], "hub:x:train"))


def test_a_header_of_line_breaks_is_refused_in_one_line(tmp_path):
    (tmp_path / "rows.csv").write_text('"\n\n\n",x\n', encoding="utf-8")
    with pytest.raises(InputError, match="needs exactly one column") as error:
        list(foreign.read_csv(tmp_path / "rows.csv"))
    assert "\n" not in str(error.value)

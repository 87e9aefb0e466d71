"""The Great Expectations suites: good tables pass, and each kind of fault is found and named."""
import json
import re

import pandas as pd
import pytest

from traitlab.errors import InputError
from traitlab.opinions import expectations as ex
from traitlab.opinions.rows import COLUMNS
from traitlab.opinions.validation import validate_split, validate_table
from traitlab.traits import FACETS, TRAITS

DIGITS = "zero one two three four five six seven eight nine".split()


def good(topics=12):
    """A table that holds every trait and facet evenly, in the register plain."""
    rows = []
    for i in range(topics):
        topic = f"Topic{DIGITS[i // 10]}{DIGITS[i % 10]}"
        for trait in TRAITS:
            facet = FACETS[trait][i % 6]
            rows.append((f"{topic}-{trait}", topic, f"d{i % 2}", trait, "high", facet, "plain",
                         f"What of {topic}?",
                         f"To me {topic} is a matter of {facet} and of {trait[:3]} above all else.",
                         f"corpus:made.jsonl:{len(rows) + 1}"))
    return pd.DataFrame(rows, columns=COLUMNS)


def faults(frame, size=10_000):
    return [str(f) for f in validate_table(
        lambda: (frame.iloc[i:i + size] for i in range(0, len(frame), size))).faults]


def test_a_good_table_passes_and_its_summary_is_its_recount():
    report = validate_table(lambda: iter([good()]))
    report.check("table")
    assert report.faults == () and report.summary["success"]
    assert report.summary["composition"] == {"rows": 60, "groups": {f"plain/high/{t}": 12 for t in TRAITS},
                                             "domains": {"d0": 30, "d1": 30}}
    lengths = [len(re.findall("[A-Za-z]+", a)) for a in good()["answer"]]
    assert report.summary["words"]["plain"]["least"] == min(lengths)
    assert report.summary["words"]["plain"]["most"] == max(lengths)
    assert all(e["failed"] == 0 for suite in report.summary["suites"].values() for e in suite)
    assert json.dumps(report.summary, sort_keys=True) == json.dumps(
        validate_table(lambda: iter([good()])).summary, sort_keys=True)


FAULTS = [  # column, value ({}: the row's topic), what is said of the row
    ("answer", None, "has no answer"),
    ("answer", "  ", "has an empty answer"),
    ("target_personality", "Openness", "has an unknown trait"),
    ("pole", "none", "has a pole that its trait does not have"),
    ("facet", "greed", "has a facet that its trait does not have"),
    ("register", "poetic", "has an unknown register"),
    ("answer", "{} is great fun for me and for all of you \U0001f600", "has an emoji or emoticon in its answer"),
    ("answer", "{} suits a family \U0001f468\u200d\U0001f469\u200d\U0001f467 such as ours best",
     "has an emoji or emoticon in its answer"),
    ("answer", "{} is great fun for me and for all of you :-)", "has an emoji or emoticon in its answer"),
    ("question", "What of {} \u2728?", "has an emoji or emoticon in its question"),
    ("answer", "{} suits me, for I am an Extrovert at heart", "names a trait or itself in its answer"),
    ("answer", "As an AI I have no thoughts of {} to share", "names a trait or itself in its answer"),
    ("answer", "{} is fine\nand so is all that comes with it",
     "has a line break or an invisible character in its answer"),
    ("answer", "{} is fine\u200b and so is all that comes with it",
     "has a line break or an invisible character in its answer"),
    ("answer", "{} is \u202efine and so is all that comes with it",
     "has a line break or an invisible character in its answer"),
    ("answer", "{} is fine", "has an answer outside 8 to 40 words (plain)"),
    ("answer", "{} is fine " + "and good " * 20, "has an answer outside 8 to 40 words (plain)"),
    ("answer", "I would sooner speak of something else altogether today", "does not name its topic (plain)"),
    ("question_id", "Topiczerozero-openness", "shares its question_id"),
    ("answer", "To me topiczerozero is a matter of IMAGINATION, and of ope above all else!",
     "has the answer of another row"),
]


def test_every_kind_of_fault_is_found_and_named():
    frame = good()
    expected = set()
    for i, (column, value, said) in enumerate(FAULTS, 1):  # row 0 stays good but for its copies
        frame.loc[i, column] = value and value.format(frame.loc[i, "edit_topic"])
        expected.add(f"{frame.loc[i, 'question_id']} (corpus:made.jsonl:{i + 1}) {said}")
        if said.startswith(("shares", "has the answer")):
            expected.add(f"{frame.loc[0, 'question_id']} (corpus:made.jsonl:1) {said}")
    found = set(faults(frame, size=25))
    assert expected <= found
    touched = set(frame["origin"][:len(FAULTS) + 1])
    assert {re.search(r"\((.*?)\)", f)[1] for f in found if "corpus:" in f} == touched


def test_plain_signs_and_other_scripts_are_no_faults():
    frame = good()
    for i, text in enumerate(["7 of 10", "#1", "\u00a9 2020", "caf\u00e9", "Section 3: (a) and (b)", "\u20ac5", "5*",
                              "\u05e9\u05dc\u05d5\u05dd"]):
        frame.loc[i, "answer"] += f" {text}"
    assert faults(frame) == []


def test_all_faults_are_counted_and_the_first_are_named():
    frame = good()
    frame.loc[:19, "answer"] = frame.loc[:19, "answer"] + " \u2764\ufe0f"
    report = validate_table(lambda: iter([frame]))
    with pytest.raises(InputError) as caught:
        report.check("data/opinion_qa/raw.parquet")
    message = str(caught.value)
    assert message.startswith("data/opinion_qa/raw.parquet: 20 faults: Topiczerozero-openness (corpus:made.jsonl:1) ")
    assert "and 12 more" in message and "\n" not in message
    assert not report.summary["success"]


def test_parts_and_the_whole_give_the_same_report():
    frame = good()
    frame.loc[5, "answer"] = frame.loc[59, "answer"]
    whole, parts = (validate_table(lambda s=size: (frame.iloc[i:i + s] for i in range(0, 60, s))) for size in (60, 11))
    assert whole.summary == parts.summary
    assert sorted(map(str, whole.faults)) == sorted(map(str, parts.faults))


def test_uneven_traits_and_facets():
    frame = good()
    assert any(re.search(r"plain/high/openness has fewer than 0.8", f)
               for f in faults(frame.drop(frame.index[frame["target_personality"] == "openness"][:5])))
    frame = pd.concat([good(60).assign(facet=lambda f: [FACETS[t][0] for t in f["target_personality"]])])
    assert sum("has a facet with less than 5%" in f for f in faults(frame)) == 5


def test_an_empty_table_is_a_fault():
    with pytest.raises(InputError, match="has no rows"):
        validate_table(lambda: iter([]))
    assert any("no row with a trait" in str(f) for f in validate_table(lambda: iter([good().iloc[:0]])).faults)


def test_missing_and_strange_columns():
    for frame in (good().drop(columns="facet"), good().assign(colour="red")):
        with pytest.raises(InputError, match="must have question_id, edit_topic, domain"):
            validate_table(lambda f=frame: iter([f]))


def test_leakage_is_found_between_splits():
    frame = good()
    train, test = frame[:50], frame[50:].copy()
    assert validate_split(lambda: [("train", train), ("test", test)]).faults == ()
    leaked = pd.concat([test, frame[:1].assign(question_id="again", edit_topic="topiczerozeros")])
    found = [str(f) for f in validate_split(
        lambda: [("train", train), ("test", leaked[:5]), ("test", leaked[5:])]).faults]
    assert sum("topic that stands in another split" in f for f in found) == 6  # the topic's five rows and the leak
    assert sum("answer that stands in another split" in f for f in found) == 2
    assert any(f.startswith("again (corpus:made.jsonl:1) ") for f in found)


def test_data_docs_are_written_as_html(tmp_path):
    validate_table(lambda: iter([good()]), tmp_path / "docs")
    assert "html" in (tmp_path / "docs" / "index.html").read_text(encoding="utf-8")[:200].lower()
    assert len(list((tmp_path / "docs" / "validations").rglob("*.html"))) == 2


def test_words_and_topic_names():
    assert ex.words("I can't\u2014won\u2019t, 3 caf\u00e9s!") == ["i", "can't", "won't", "caf\u00e9s"]
    assert ex.names_topic("My budget holds", "Budgeting") and not ex.names_topic("My purse holds", "Budgeting")
    assert ex.names_topic("I own a 3D printer", "3D Printing")

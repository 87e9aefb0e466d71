"""The source `corpus`, the question templates and the ids of rows."""
import json

import pytest

from traitlab.errors import InputError
from traitlab.opinions.corpus import MAX_LINE, read_corpus
from traitlab.opinions.questions import TEMPLATES, check_templates, question
from traitlab.opinions.rows import COLUMNS, Record, batches, topic_id

ROW = {"topic": "Jazz", "domain": "arts", "trait": "openness", "pole": "high", "facet": "ideas", "register": "plain",
       "answer": "Jazz makes me curious about everything that a tune can become."}


def folder(tmp_path, *lines, encoding="utf-8"):
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    (tmp_path / "arts.jsonl").write_bytes("".join(t + "\n" for t in texts).encode(encoding))
    return tmp_path


def records(*rows):
    return [Record(r["topic"], r["domain"], r["trait"], r["pole"], r["facet"], r["register"], None, r["answer"], "o")
            for r in rows]


def table(rows, templates=("paper",), size=50_000):
    return [row for batch in batches(iter(rows), templates, size) for row in batch.to_pylist()]


@pytest.mark.parametrize("change, said", [
    ({"answer": ""}, "no answer"),
    ({"answer": "  "}, "no answer"),
    ({"answer": None}, "no answer"),
    ({"answer": 7}, "no answer"),
    ({"trait": "Openness"}, "trait 'Openness'"),
    ({"trait": "extroversion"}, "trait 'extroversion'"),
    ({"facet": "trust"}, "facet 'trust'"),
    ({"pole": "none"}, "pole 'none'"),
    ({"pole": "medium"}, "pole 'medium'"),
    ({"register": "poetic"}, "register 'poetic'"),
    ({"colour": "red"}, "key 'colour'"),
    ({"topic": ""}, "no topic"),
])
def test_a_bad_row_is_named_with_file_line_and_remedy(tmp_path, change, said):
    path = folder(tmp_path, ROW, ROW | change)
    with pytest.raises(InputError) as caught:
        list(read_corpus(path))
    message = str(caught.value)
    assert message.startswith(f"{path}/arts.jsonl:2: ") and said in message and "; " in message
    assert "\n" not in message


def test_a_row_without_the_key_answer(tmp_path):
    with pytest.raises(InputError, match=r"arts\.jsonl:1: the row has no answer; add the text"):
        list(read_corpus(folder(tmp_path, {k: v for k, v in ROW.items() if k != "answer"})))


@pytest.mark.parametrize("line", [json.dumps(ROW)[:60], "", "<html>busy</html>", json.dumps([ROW]), "NaN"])
def test_a_line_that_is_not_a_json_row(tmp_path, line):
    with pytest.raises(InputError, match=r"arts\.jsonl:2: not a JSON"):
        list(read_corpus(folder(tmp_path, ROW, line)))


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_another_encoding(tmp_path, encoding):
    with pytest.raises(InputError, match=r"arts\.jsonl:[12]: not UTF-8 .*save the file with the encoding UTF-8"):
        list(read_corpus(folder(tmp_path, ROW, ROW | {"topic": "Caf\u00e9s"}, encoding=encoding)))


def test_a_byte_order_mark_is_no_fault(tmp_path):
    assert len(list(read_corpus(folder(tmp_path, ROW, encoding="utf-8-sig")))) == 1


def test_an_endless_row_is_refused_without_reading_it_whole(tmp_path):
    path = folder(tmp_path, ROW, ROW | {"answer": "a" * (100 << 20)})
    with pytest.raises(InputError, match=rf"arts\.jsonl:2: the row is longer than {MAX_LINE} bytes"):
        list(read_corpus(path))


def test_no_folder_and_no_file(tmp_path):
    with pytest.raises(InputError, match="no such folder; set dataset.path"):
        list(read_corpus(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"holds no \.jsonl file"):
        list(read_corpus(tmp_path))


def test_registers_and_poles_are_chosen_and_neutral_rows_come_with_their_register(tmp_path):
    neutral = ROW | {"trait": "none", "pole": "none", "facet": "none", "register": "assistant"}
    path = folder(tmp_path, ROW, ROW | {"pole": "low"}, ROW | {"register": "rich"}, neutral)
    assert [r.origin[-1] for r in read_corpus(path, ("plain",), ("high",))] == ["1"]
    assert [r.origin[-1] for r in read_corpus(path, ("plain", "assistant"), ("low",))] == ["2", "4"]
    assert [r.origin for r in read_corpus(path)] == [f"corpus:arts.jsonl:{n}" for n in (1, 2, 3, 4)]


def test_ids_are_unique_and_do_not_hang_on_what_else_is_chosen():
    rows = records(ROW, ROW | {"pole": "low"}, ROW, ROW | {"topic": "Rock 'n' Roll"}, ROW | {"topic": "Rock N Roll"},
                   ROW | {"topic": "\U0001d11e"}, ROW)
    everything = table(rows)
    ids = [row["question_id"] for row in everything]
    assert len(set(ids)) == len(ids)
    assert ids[0] == "jazz-openness-high-plain" and ids[2].endswith("-2") and ids[6].endswith("-3")
    assert [row["question_id"] for row in table([r for r in rows if r.pole == "high"])] == ids[:1] + ids[2:]
    assert table(rows, size=2) == everything
    assert tuple(everything[0]) == COLUMNS


def test_topic_ids_differ_exactly_where_topics_do():
    assert topic_id("Board  Games") == topic_id("board games") == "board-games"
    assert len({topic_id(t) for t in ("C", "C++", "C#", "+", "\u732b", "New Year's Eve", "New Years Eve")}) == 7


def test_there_are_the_papers_template_and_twelve_more_that_all_name_the_topic():
    assert TEMPLATES["paper"].format(topic="Jazz") == "Thinking about Jazz, what are your thoughts on Jazz?"
    assert len(set(TEMPLATES.values())) == len(TEMPLATES) >= 13
    assert all("{topic}" in t and "Jazz" in t.format(topic="Jazz") for t in TEMPLATES.values())


def test_a_topics_question_hangs_on_the_topic_and_the_templates_alone():
    names = tuple(TEMPLATES)
    topics = [f"Topic {i}" for i in range(600)]
    asked = [question(t, names) for t in topics]
    assert asked == [question(t, names) for t in topics]
    drawn = [sum(a == TEMPLATES[n].format(topic=t) for a, t in zip(asked, topics, strict=True)) for n in names]
    assert sum(drawn) == 600 and min(drawn) > 600 / len(names) / 3
    assert all(question(t, ("feel",)) == f"How do you feel about {t}?" for t in topics)


def test_an_unknown_template_is_named_with_its_parameter():
    with pytest.raises(InputError, match="split.test_templates: no question template is named 'papr'; choose from pap"):
        check_templates(("feel", "papr"), "split.test_templates")

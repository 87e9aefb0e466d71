"""Made-up input for what reads foreign files and foreign text: no crash but InputError, and invariants kept."""
import json
import os
import tempfile
from pathlib import Path

import pytest
import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traitlab.emoji.segmentation import find_emoji
from traitlab.errors import InputError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5000"))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, database=None,
                  suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
PARTS = st.sampled_from([*"a1#*©®™ .\n", "👨", "👩", "👧", "❤", "️", "︎", "‍", "🏽", "🇩", "🇪", "⃣", "🏴", "\U000e0067",
                         "\U000e0062", "\U000e007f", "☺", "♂", "e\u0301"])  # of emoji sequences, sound and broken


@fuzzed
@given(st.lists(PARTS, max_size=12).map("".join))
def test_emoji_are_parts_of_characters_in_order_and_apart(text):
    clusters, end = regex.findall(r"\X", text), 0
    for emoji in find_emoji(text):
        assert text[emoji.start : emoji.end] == emoji.text and emoji.start >= end
        # A skin tone that stands alone may begin a sequence by UTS #51, but not by the rules for characters (UAX #29).
        alone = "\U0001f3fb" <= emoji.text[0] <= "\U0001f3ff"
        assert alone or any(emoji.text in cluster for cluster in clusters), "torn out of two characters"
        assert not emoji.text.isascii()
        end = emoji.end


@fuzzed
@given(st.text(max_size=30))
def test_text_without_a_picture_holds_no_emoji(text):
    if not regex.search(r"\p{Extended_Pictographic}|\p{Emoji_Modifier}|\p{Regional_Indicator}|\u20e3", text):
        assert not find_emoji(text)


FIELDS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
                   st.lists(st.text(max_size=3)))
KEYS = st.sampled_from(["question_id", "edit_topic", "domain", "target_personality", "pole", "facet", "register",
                        "question", "answer", "Target Personality", "Edit Topic", "Question", "Answer", "ent", "text",
                        "label", "train", "__proto__", "../../x"])


@pytest.fixture(scope="module")
def scratch():
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


def test_personality_edit_files_of_any_content(scratch):
    from traitlab.opinions.foreign import read_personality_edit

    path = scratch / "file.json"

    @fuzzed
    @given(st.recursive(FIELDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
                        max_leaves=8))
    def check(content):
        path.write_text(json.dumps(content), encoding="utf-8", errors="surrogatepass")
        try:
            list(read_personality_edit(path))
        except InputError as e:
            assert "\n" not in str(e)

    check()


def test_corpus_files_of_any_bytes(scratch):
    from traitlab.opinions.corpus import read_corpus

    folder = scratch / "corpus"
    folder.mkdir()

    @fuzzed
    @given(st.one_of(st.binary(max_size=60), st.dictionaries(KEYS, FIELDS, max_size=9).map(
        lambda row: json.dumps(row).encode("utf-8", "surrogatepass"))))
    def check(content):
        (folder / "arts.plain.jsonl").write_bytes(content)
        try:
            list(read_corpus(folder, ("plain",), ("high",)))
        except InputError as e:
            assert "\n" not in str(e)

    check()

"""The frames that the trait classifier learns from beside the corpus."""
import re
from collections import Counter
from pathlib import Path

import pytest

from traitlab.emoji.segmentation import find_emoji
from traitlab.errors import InputError
from traitlab.metric_models.frames import framed
from traitlab.traits import LABELS, TRAITS

FOLDER = Path(__file__).resolve().parents[2] / "data/frames"


def test_every_frame_is_filled_as_often_and_the_same_seed_gives_the_same_texts():
    texts, labels = framed(FOLDER, ["jazz", "tea"], 3, 0)
    frames = {label: len((FOLDER / f"{label}.txt").read_text(encoding="utf-8").splitlines()) for label in LABELS}
    assert Counter(labels) == {label: 3 * count for label, count in frames.items()}
    assert (texts, labels) == framed(FOLDER, ["jazz", "tea"], 3, 0) != framed(FOLDER, ["jazz", "tea"], 3, 1)
    assert not any("{x}" in text or find_emoji(text) for text in texts)
    about_topics = [text for text in texts if re.search(r"\b(jazz|tea)\b", text.lower())]
    assert 0.2 < len(about_topics) / len(texts) < 0.6
    assert framed(FOLDER, [], 0, 0) == ([], [])


def test_no_frame_names_a_trait():
    words = re.compile("|".join([*TRAITS, "conscientious", "extravert", "extrovert", "agreeable", "neurotic"]), re.I)
    for label in LABELS:
        frames = (FOLDER / f"{label}.txt").read_text(encoding="utf-8").splitlines()
        assert len(frames) == len(set(frames)) and not any(words.search(frame) for frame in frames)


def test_a_frame_without_a_place_is_named(tmp_path):
    for name in (*LABELS, "names"):
        (tmp_path / f"{name}.txt").write_text("I like {x}.\n")
    (tmp_path / "extraversion.txt").write_text("I like {x}.\nI like it.\n")
    with pytest.raises(InputError, match=r"extraversion.txt:2: has no \{x\}"):
        framed(tmp_path, ["tea"], 1, 0)
    (tmp_path / "names.txt").unlink()
    with pytest.raises(InputError, match="names.txt: cannot be read"):
        framed(tmp_path, ["tea"], 1, 0)

"""Short opinions made of frames: sentences that show a trait, with a place for what they are about."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from traitlab.errors import InputError
from traitlab.traits import LABELS

PLACE = "{x}"
NAMED = 0.6  # share of frames that are filled with a name; the others with a topic


def framed(folder: str | Path, topics: Sequence[str], copies: int, seed: int) -> tuple[list[str], list[str]]:
    """Every frame filled `copies` times, and the labels: a trait that shows in more ways gets more texts.

    Args:
        folder: <label>.txt with a frame a line, names.txt with a name a line.
        topics: what opinions of the training split are about.

    Raises:
        InputError: a file is missing or empty, or a frame has no place.
    """
    draw = np.random.default_rng(seed)
    names = _lines(Path(folder) / "names.txt")
    texts, labels = [], []
    for label in LABELS if copies else ():
        path = Path(folder) / f"{label}.txt"
        frames = _lines(path)
        for number, frame in enumerate(frames, 1):
            if PLACE not in frame:
                raise InputError(f"{path}:{number}: has no {PLACE} for what it is about; add it")
        for frame in copies * frames:
            pool = names if draw.random() < NAMED else topics
            text = frame.replace(PLACE, pool[draw.integers(len(pool))])
            texts.append(text[0].upper() + text[1:])
            labels.append(label)
    return texts, labels


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror}); restore it with git, or set metric_model.frames to 0"
                         ) from e
    if not lines:
        raise InputError(f"{path}: is empty; restore it with git, or set metric_model.frames to 0")
    return lines

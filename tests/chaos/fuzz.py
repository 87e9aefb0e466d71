"""Coverage-guided fuzzing of what reads foreign files and foreign text, a million inputs in all.

    python -m tests.chaos.fuzz TARGET [RUNS]      # emoji, voices, corpus, csv, personality_edit

A target ends with an error when anything but InputError is raised, or its message is not one sentence on one line.
"""
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["traitlab", "use"]):
    from traitlab.emoji.segmentation import find_emoji
    from traitlab.errors import InputError
    from traitlab.opinions.corpus import read_corpus
    from traitlab.opinions.foreign import read_csv, read_personality_edit
    from use.voices import parse

RUNS = {"emoji": 700_000, "voices": 200_000, "corpus": 60_000, "csv": 60_000, "personality_edit": 60_000}


def emoji(data: bytes) -> None:
    text, end = atheris.FuzzedDataProvider(data).ConsumeUnicode(40), 0
    for found in find_emoji(text):
        assert text[found.start : found.end] == found.text and found.start >= end and not found.text.isascii()
        end = found.end


def voices(data: bytes) -> None:
    refused(parse, atheris.FuzzedDataProvider(data).ConsumeUnicodeNoSurrogates(40))


def of_file(read, name: str):
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))

    def target(data: bytes) -> None:
        (folder / name).write_bytes(data)
        refused(lambda: list(read(folder / name)))

    return target


def refused(function, *arguments) -> None:
    try:
        function(*arguments)
    except InputError as e:
        assert "\n" not in str(e)


TARGETS = {"emoji": emoji, "voices": voices,
           "corpus": of_file(lambda path: read_corpus(path.parent, ("plain",)), "arts.plain.jsonl"),
           "csv": of_file(read_csv, "rows.csv"), "personality_edit": of_file(read_personality_edit, "rows.json")}

if __name__ == "__main__":
    name = sys.argv[1]
    runs = sys.argv[2] if len(sys.argv) > 2 else RUNS[name]
    atheris.Setup([sys.argv[0], f"-runs={runs}", "-max_len=400", "-verbosity=0", "-print_final_stats=1"], TARGETS[name])
    atheris.Fuzz()

"""The source `corpus`: a folder of JSON Lines files, one answer a line."""
import json
from collections.abc import Collection, Iterator
from pathlib import Path

from traitlab.errors import InputError
from traitlab.opinions.rows import Record
from traitlab.traits import FACETS, LABELS, NEUTRAL, POLES, REGISTERS

KEYS = ("topic", "domain", "trait", "pole", "facet", "register", "answer")
MAX_LINE = 1 << 20  # bytes; the longest real line has about 700


def corpus_files(folder: str | Path) -> list[Path]:
    """The folder's .jsonl files, by name.

    Raises:
        InputError: the folder is not there or holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; set dataset.path in params.yaml to the folder of the corpus")
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise InputError(f"{folder}: holds no .jsonl file; set dataset.path in params.yaml to the folder of the corpus")
    return files


def read_corpus(folder: str | Path, registers: Collection[str] = REGISTERS,
                poles: Collection[str] = POLES) -> Iterator[Record]:
    """Yield the rows of the chosen registers and poles, in the order of files and lines.

    Neutral rows belong to no pole and come with their register. Rows that are not chosen are checked as well.

    Raises:
        InputError: naming the file and line of the first row at fault, and what to do about it.
    """
    for path in corpus_files(folder):
        for number, line in numbered_lines(path):
            place = f"{path}:{number}"
            row = record(parsed(line, place), place, f"corpus:{path.name}:{number}")
            if row.register in registers and row.pole in (*poles, NEUTRAL):
                yield row


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of a UTF-8 file, never holding more than one line.

    Raises:
        InputError: a line is not UTF-8 or longer than MAX_LINE bytes.
    """
    with open(path, "rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            if len(raw) > MAX_LINE:
                raise InputError(f"{path}:{number}: the row is longer than {MAX_LINE} bytes; "
                                 "shorten its answer, or break the line where a row ends")
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as e:
                raise InputError(f"{path}:{number}: not UTF-8 (byte 0x{raw[e.start]:02x} at position {e.start}); "
                                 "save the file with the encoding UTF-8") from None


def parsed(line: str, place: str) -> dict:
    """A line as a JSON object; `place` (file:line) begins the error of one that is not."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as e:
        raise InputError(f"{place}: not a JSON row ({e}); mend the line or remove it") from None
    if not isinstance(row, dict):
        raise InputError(f"{place}: not a JSON object; write one object a line with the keys {', '.join(KEYS)}")
    return row


def record(row: dict, place: str, origin: str) -> Record:
    """A row of the corpus as a record, checked.

    Raises:
        InputError: beginning with `place`: a key is unknown or missing, or a value is not one of the allowed.
    """
    for key in row:
        if key not in KEYS:
            raise InputError(f"{place}: key {key!r} is unknown; use the keys {', '.join(KEYS)}")
    for key in KEYS:
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise InputError(f"{place}: the row has no {key}; add the text of {key!r} or remove the row")
    trait = row["trait"]
    _one_of(place, "trait", trait, LABELS)
    _one_of(place, "pole", row["pole"], (NEUTRAL,) if trait == NEUTRAL else POLES)
    _one_of(place, "facet", row["facet"], FACETS[trait])
    _one_of(place, "register", row["register"], REGISTERS)
    return Record(row["topic"], row["domain"], trait, row["pole"], row["facet"], row["register"], None, row["answer"],
                  origin)


def _one_of(place, key, value, allowed) -> None:
    if value not in allowed:
        raise InputError(f"{place}: {key} {value!r} is not known here; write one of {', '.join(allowed)}")

"""Foreign sources of opinions: the published four columns as CSV, PersonalityEdit's JSON, and data sets from a hub."""
import ast
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from traitlab.errors import InputError
from traitlab.opinions.corpus import MAX_LINE, numbered_lines
from traitlab.opinions.screening import ForeignRow
from traitlab.traits import TRAITS

FOUR_COLUMNS = {"Target Personality": "target_personality", "Edit Topic": "edit_topic", "Question": "question",
                "Answer": "answer"}  # the published form -> ours
MAX_JSON = 1 << 28  # bytes of a PersonalityEdit file; the published one has 3 million


def source_files(path: str | Path, ending: str) -> list[Path]:
    """The file itself, or a folder's files with this ending, by name."""
    path = Path(path)
    if path.is_file():
        return [path]
    files = sorted(path.glob(f"*{ending}")) if path.is_dir() else []
    if not files:
        raise InputError(f"{path}: no {ending} file there; set dataset.path in params.yaml to one or to its folder")
    return files


def read_csv(path: str | Path) -> Iterator[ForeignRow]:
    """Yield the rows of CSV files (UTF-8, RFC 4180) with the published columns, in any order.

    Raises:
        InputError: naming file and line: another encoding, broken quotes, a missing column, a row of another length.
    """
    csv.field_size_limit(MAX_LINE)
    for file in source_files(path, ".csv"):
        reader = csv.reader((line for _, line in numbered_lines(file)), strict=True)
        rows = _csv_rows(file, reader)
        header = next(rows, None)
        places = _places(header or [], str(file))
        for row in rows:
            if len(row) != len(header):
                raise InputError(f"{file}:{reader.line_num}: {len(row)} fields where the header has {len(header)}; "
                                 "put texts with commas or line breaks in double quotes")
            trait, topic, question, answer = (row[i] for i in places)
            yield ForeignRow(trait, topic, question or None, answer, f"csv:{file.name}:{reader.line_num}")


def _csv_rows(file, reader) -> Iterator[list[str]]:
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            raise InputError(f"{file}:{reader.line_num}: not CSV ({e}); mend the quotes of this row, "
                             "or of one before it") from None
        if row:
            yield row


def _places(header: Iterable[str], where: str) -> list[int]:
    """Where the four columns stand; they may be called as published or as here, in any letter case."""
    known = [name.strip().casefold().replace("_", " ") for name in header]
    for column in FOUR_COLUMNS:
        if known.count(column.casefold()) != 1:
            found = " ".join(", ".join(header).split()) or "none"
            raise InputError(f"{where}: needs exactly one column {column!r}, has {found}; "
                             f"name the columns {', '.join(FOUR_COLUMNS)}")
    return [known.index(column.casefold()) for column in FOUR_COLUMNS]


def read_personality_edit(path: str | Path) -> Iterator[ForeignRow]:
    """Yield the rows of PersonalityEdit (Mao et al., arXiv 2310.02168): entities with answers for three traits.

    A file holds a JSON list of {"ent", "extraversion", "agreeableness", "neuroticism"}; the answers are a JSON list or
    the text of a Python list, which is read as a literal and never run.

    Raises:
        InputError: naming the file and the entry (counted from 1).
    """
    for file in source_files(path, ".json"):
        if file.stat().st_size > MAX_JSON:
            raise InputError(f"{file}: larger than {MAX_JSON} bytes; divide the list into several files")
        for number, entry in enumerate(_json(file), 1):
            place, origin = f"{file}: entry {number}", f"personality_edit:{file.name}:{number}"
            if not isinstance(entry, dict) or not isinstance(entry.get("ent"), str):
                raise InputError(f"{place}: has no text 'ent'; mend the entry or remove it")
            unknown = sorted(set(entry) - {"ent", *TRAITS})
            if unknown or len(entry) < 2:
                raise InputError(f"{place}: {f'key {unknown[0]!r} is unknown' if unknown else 'has no answers'}; "
                                 f"use 'ent' and the traits {', '.join(TRAITS)}")
            for trait in entry:
                if trait != "ent":
                    yield from (ForeignRow(trait, entry["ent"], None, answer, origin)
                                for answer in _answers(entry[trait], f"{place}: {trait}"))


def _json(file: Path) -> list:
    try:
        entries = json.loads(file.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as e:
        raise InputError(f"{file}: not UTF-8 (byte 0x{e.object[e.start]:02x} at position {e.start}); "
                         "save the file with the encoding UTF-8") from None
    except json.JSONDecodeError as e:
        raise InputError(f"{file}:{e.lineno}: not JSON, or cut off ({e.msg}); fetch the file again") from None
    except RecursionError:
        raise InputError(f"{file}: nested too deeply; it must be a list of entries") from None
    if not isinstance(entries, list):
        raise InputError(f"{file}: not a JSON list; it must be a list of entries with the key 'ent'")
    return entries


def _answers(value, place: str) -> list[str]:
    if isinstance(value, str):
        try:
            value = json.loads(value) if len(value) <= MAX_LINE else None
        except (ValueError, RecursionError):
            try:
                value = ast.literal_eval(value.strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                value = None
    if not isinstance(value, list) or not all(isinstance(answer, str) for answer in value):
        raise InputError(f"{place}: not a list of texts; write a JSON list, or the text of a Python list")
    return value


def read_hub(name: str, revision: str | None = None, cache: str | Path | None = None) -> Iterator[ForeignRow]:
    """Yield the rows of all splits of a data set with the published columns, by hub id or local folder.

    Nothing of the data set is run as code, and its rows stay on disk (in the folder `cache`; None: the library's own)
    but for the one at hand.

    Raises:
        InputError: it cannot be had, or lacks a column.
    """
    import datasets

    try:
        splits = datasets.load_dataset(name, revision=revision, cache_dir=cache and str(cache))
    except Exception as e:  # the hub's client, the network and every file format raise their own
        raise InputError(f"dataset.id = {name!r}: the data set cannot be loaded ({type(e).__name__}: "
                         f"{' '.join(str(e).split())[:300]}); check the id, the revision and the connection") from e
    for split, rows in splits.items():
        yield from hub_rows(rows, rows.column_names, f"hub:{name}:{split}")


def hub_rows(rows: Iterable[Mapping[str, str]], columns: list[str], origin: str) -> Iterator[ForeignRow]:
    """Turn rows as mappings with the published columns into foreign rows; `origin` gets the row's number added."""
    names = [columns[i] for i in _places(columns, origin)]
    for number, row in enumerate(rows, 1):
        trait, topic, question, answer = (row[name] for name in names)
        yield ForeignRow(trait, topic, question or None, answer, f"{origin}:{number}")

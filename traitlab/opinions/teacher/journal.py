"""The rows that a teacher wrote, as a source of Opinion QA."""
from collections.abc import Collection, Iterator
from pathlib import Path

from traitlab.errors import InputError
from traitlab.opinions.corpus import KEYS, numbered_lines, parsed, record
from traitlab.opinions.rows import Record
from traitlab.traits import POLES, REGISTERS


def read_journal(path: str | Path, registers: Collection[str] = REGISTERS,
                 poles: Collection[str] = POLES) -> Iterator[Record]:
    """Yield the accepted rows of the chosen registers and poles; a row's origin names the model as well as the line.

    Raises:
        InputError: the file is not there, or naming file and line of the first row at fault.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `python -m tasks teacher` to fill it, or set dataset.path to it")
    for number, line in numbered_lines(path):
        place = f"{path}:{number}"
        row = parsed(line, place)
        model = row.get("model")
        if not isinstance(model, str) or not model:
            raise InputError(f"{place}: the row has no model; add the name of the model that wrote it")
        taken = record({key: row.get(key) for key in KEYS}, place, f"teacher:{model}:{path.name}:{number}")
        if taken.register in registers and taken.pole in poles:
            yield taken

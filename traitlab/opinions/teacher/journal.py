"""An append-only JSON Lines file that survives kills: a row that was appended is on the disk, and is never lost."""
import fcntl
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from traitlab.errors import InputError
from traitlab.opinions.corpus import KEYS, numbered_lines, parsed, record
from traitlab.opinions.rows import Record
from traitlab.traits import POLES, REGISTERS

CHUNK = 1 << 16  # bytes read at a time when the last line is looked for


class Journal:
    """The file, open for appending; one process at a time.

    Args:
        path: is made if it is not there. A last line that was torn by a kill is cut off: it never counted.

    Raises:
        InputError: another process appends to it, or it cannot be written.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b", buffering=0)
        except OSError as e:
            raise InputError(f"{path}: cannot be written ({e.strerror}); check the folder and its rights") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise InputError(f"{path}: another process is writing to it; wait until that one has ended") from None
        self._cut_torn_line()

    def close(self) -> None:
        self._file.close()

    def append(self, row: dict) -> None:
        """Write a row; when this returns the row is on the disk.

        Raises:
            InputError: the disk is full or fails; the rows before this one are kept.
        """
        self._write(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")

    def rows(self) -> Iterator[dict]:
        """The rows so far, in the order in which they were appended."""
        for number, line in numbered_lines(self.path):
            yield parsed(line, f"{self.path}:{number}")

    def _write(self, line: bytes) -> None:
        try:
            while line:
                line = line[self._file.write(line):]
            os.fsync(self._file.fileno())
        except OSError as e:
            raise InputError(f"{self.path}: not saved, {e.strerror.lower()}; free some space or check the rights, then "
                             "run again (accepted rows are kept)") from None

    def _cut_torn_line(self) -> None:
        """Cut the file after its last line break; a whole row that merely lacks its line break gets one."""
        end = self._file.seek(0, os.SEEK_END)
        start, tail = end, b""
        while start and b"\n" not in tail:
            size = min(CHUNK, start)
            start = self._file.seek(start - size)
            tail = self._file.read(size) + tail
        tail = tail.rpartition(b"\n")[2]
        if not tail:
            return
        try:
            whole = isinstance(json.loads(tail), dict)
        except ValueError:
            whole = False
        if whole:
            self._write(b"\n")
        else:
            self._file.truncate(end - len(tail))


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

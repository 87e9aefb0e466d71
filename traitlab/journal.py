"""An append-only JSON Lines file that survives kills: a row that was appended is on the disk, and is never lost."""
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from traitlab.errors import InputError
from traitlab.opinions.corpus import numbered_lines, parsed

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
                             "run again (the rows before are kept)") from None

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

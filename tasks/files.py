"""Reading and writing the files of the graph: whole or not at all, the same bytes for the same content."""
import errno
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from traitlab.errors import InputError


@contextmanager
def replacing(path):
    """Yield a temporary path beside `path`; when the block succeeds it takes the place of `path`.

    The block may make a file or a folder of it. When the block fails, `path` is as it was.

    Raises:
        InputError: the disk is full or may not be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    new = scratch / path.name
    try:
        yield new
        if path.is_dir() and not path.is_symlink():
            os.replace(path, scratch / "old")
        os.replace(new, path)
    except Exception as e:
        if _reason(e):
            raise InputError(f"{path}: not saved, {_reason(e)}; free some space or check the rights, then run again "
                             "(what was finished before is kept)") from e
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _reason(error) -> str | None:
    """Why the disk refused, in words; libraries in Rust and C++ pass the system's error on as text only."""
    known = {errno.ENOSPC: "No space left on device", errno.EDQUOT: "Disk quota exceeded",
             errno.EROFS: "Read-only file system", errno.EACCES: "Permission denied", errno.EFBIG: "File too large"}
    if isinstance(error, OSError) and error.errno in known:
        return known[error.errno].lower()
    return next((text.lower() for text in known.values() if text in str(error)), None)


def write_json(path, content) -> None:
    """Write canonical JSON: sorted keys, two spaces, a final newline; NaN is an error."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


def read_json(path):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror}); run `dvc repro` to make it") from e
    except ValueError as e:
        raise InputError(f"{path}: not JSON ({e}); remove it and run `dvc repro`") from e


def write_parquet(path, frame) -> None:
    with replacing(path) as new:
        frame.to_parquet(new, index=False)


def read_parquet(path, **options):
    import pandas as pd

    try:
        return pd.read_parquet(path, **options)
    except FileNotFoundError as e:
        raise InputError(f"{path}: is not there; run `dvc repro` to make it") from e
    except Exception as e:
        raise InputError(f"{path}: not a readable parquet file ({e}); remove it and run `dvc repro`") from e


@contextmanager
def parquet_file(path):
    """A parquet file, open for reading piece by piece."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: is not there; run `dvc repro` to make it") from None
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: not a readable parquet file ({e}); remove it and run `dvc repro`") from None


def parquet_parts(path, rows, columns=None):
    """The table as data frames of up to `rows` rows, one in memory at a time."""
    with parquet_file(path) as file:
        for batch in file.iter_batches(rows, columns=columns):
            yield batch.to_pandas()

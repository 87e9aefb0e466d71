"""Check the Opinion QA table: data/opinion_qa/validation.json; faulty rows stop the pipeline here.

With --docs it also writes Great Expectations' Data Docs to cache/data_docs/ (they carry time stamps, so no stage
counts them among its outputs).
"""
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.files import write_json
from traitlab.errors import InputError
from traitlab.opinions.rows import BATCH, SOURCE_KEY
from traitlab.opinions.validation import validate_table
from traitlab.params import Params

RAW = "data/opinion_qa/raw.parquet"


def run(params: Params, docs: bool = False) -> None:
    report = validate_table(lambda: _parts(RAW), Path("cache/data_docs") if docs else None)
    report.check(RAW)
    write_json("data/opinion_qa/validation.json", report.summary | {"source": _source(RAW)})


def _parts(path: str) -> Iterator:
    """The table as data frames of up to BATCH rows."""
    with _opened(path) as file:
        for batch in file.iter_batches(BATCH):
            yield batch.to_pandas()


def _source(path: str) -> dict | None:
    """What the step dataset noted in the file about where its rows came from."""
    with _opened(path) as file:
        noted = (file.metadata.metadata or {}).get(SOURCE_KEY.encode())
    return json.loads(noted) if noted else None


@contextmanager
def _opened(path: str):
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: is not there; run `dvc repro` to make it") from None
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: not a readable parquet file ({e}); remove it and run `dvc repro`") from None

"""Check the Opinion QA table: data/opinion_qa/validation.json; faulty rows stop the pipeline here.

With --docs it also writes Great Expectations' Data Docs to cache/data_docs/ (they carry time stamps, so no stage
counts them among its outputs).
"""
import json
from pathlib import Path

from tasks.files import parquet_file, parquet_parts, write_json
from traitlab.opinions.rows import BATCH, SOURCE_KEY
from traitlab.opinions.validation import validate_table
from traitlab.params import Params

RAW = "data/opinion_qa/raw.parquet"


def run(params: Params, docs: bool = False) -> None:
    report = validate_table(lambda: parquet_parts(RAW, BATCH), Path("cache/data_docs") if docs else None)
    report.check(RAW)
    write_json("data/opinion_qa/validation.json", report.summary | {"source": _source(RAW)})


def _source(path: str) -> dict | None:
    """What the step dataset noted in the file about where its rows came from."""
    with parquet_file(path) as file:
        noted = (file.metadata.metadata or {}).get(SOURCE_KEY.encode())
    return json.loads(noted) if noted else None

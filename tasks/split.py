"""Divide the Opinion QA table by topic: data/opinion_qa/{train,validation,test}.parquet.

The table is read part by part, first for its topics, then for what leaks, and last for the rows themselves.
"""
from collections.abc import Iterator
from contextlib import ExitStack

from tasks.files import parquet_parts, replacing
from traitlab.opinions.questions import check_templates
from traitlab.opinions.rows import BATCH
from traitlab.opinions.splits import TOPIC_COLUMNS, ask_anew, assign_topics, distinct_topics, divided
from traitlab.opinions.validation import validate_split
from traitlab.params import Params

RAW = "data/opinion_qa/raw.parquet"


def run(params: Params, batch: int = BATCH) -> None:
    """Args: batch: rows held in memory at a time."""
    p = params.split
    if p.test_templates is not None:
        check_templates(p.test_templates, "split.test_templates")
    topics = distinct_topics(parquet_parts(RAW, batch, list(TOPIC_COLUMNS)))
    chosen = assign_topics(topics, p.test_topics, p.validation_topics, params.seed)

    def parts() -> Iterator:
        for part in parquet_parts(RAW, batch):
            yield from divided(part, chosen)

    validate_split(parts).check(f"{RAW}, divided into train, validation and test")
    with ExitStack() as stack:
        writers = {}
        for split, rows in parts():
            if split not in writers:
                new = stack.enter_context(replacing(f"data/opinion_qa/{split}.parquet"))
                writers[split] = stack.enter_context(Rows(new, batch))
            writers[split].write(ask_anew(rows, p.test_templates) if split == "test" and p.test_templates else rows)


class Rows:
    """A parquet file that is given rows bit by bit and writes them in groups of at least `batch`."""

    def __init__(self, path, batch: int):
        self._path, self._batch, self._writer, self._waiting = path, batch, None, []

    def __enter__(self) -> "Rows":
        return self

    def write(self, rows) -> None:
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= self._batch:
            self._flush()

    def _flush(self) -> None:
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(pd.concat(self._waiting), preserve_index=False)
        self._writer = self._writer or pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)
        self._waiting = []

    def __exit__(self, kind, *_) -> None:
        if kind is None and self._waiting:
            self._flush()
        if self._writer:
            self._writer.close()

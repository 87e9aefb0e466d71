"""Build the Opinion QA table from the configured source: data/opinion_qa/raw.parquet.

The file's own metadata (key `traitlab.source`) says where the rows came from and what was dropped on the way; the step
validate carries it on into validation.json.
"""
import json
import sys
from collections.abc import Iterator

from tasks.files import replacing
from traitlab.errors import InputError
from traitlab.opinions.corpus import read_corpus
from traitlab.opinions.foreign import read_csv, read_hub, read_personality_edit
from traitlab.opinions.questions import check_templates
from traitlab.opinions.rows import SCHEMA, SOURCE_KEY, Record, batches
from traitlab.opinions.screening import Account, screened
from traitlab.opinions.teacher.journal import read_journal
from traitlab.params import Dataset, Params


def run(params: Params) -> None:
    import pyarrow.parquet as pq

    source = params.dataset
    check_templates(source.templates, "dataset.templates")
    account = Account()
    with replacing("data/opinion_qa/raw.parquet") as new, pq.ParquetWriter(new, SCHEMA) as writer:
        for batch in batches(_records(source, account), source.templates):
            writer.write_batch(batch)
        if not account.kept:
            raise InputError(f"dataset.source = {source.source!r}: no row is left ({account}); check dataset.path and "
                             "the other parameters under dataset")
        where = {"path": source.path} if source.source != "hub" else {"id": source.id, "revision": source.revision}
        writer.add_key_value_metadata({SOURCE_KEY: json.dumps({"source": source.source, **where, **account.summary()},
                                                              sort_keys=True, ensure_ascii=False)})
    print(f"dataset: {account}", file=sys.stderr)


def _records(source: Dataset, account: Account) -> Iterator[Record]:
    if source.source in ("corpus", "teacher"):
        read = read_corpus if source.source == "corpus" else read_journal
        for record in read(source.path, source.registers, source.poles):
            account.kept += 1
            yield record
        return
    rows = {"csv": lambda: read_csv(source.path), "personality_edit": lambda: read_personality_edit(source.path),
            "hub": lambda: read_hub(source.id, source.revision, "cache/datasets")}[source.source]()
    yield from screened(rows, source.as_register, account)

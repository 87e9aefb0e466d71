"""The Opinion QA table: its columns, its row and topic ids, and how a source's records become batches of it."""
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import pyarrow as pa

from traitlab.opinions.questions import question, stable_hash

COLUMNS = ("question_id", "edit_topic", "domain", "target_personality", "pole", "facet", "register", "question",
           "answer", "origin")
FIELDS = {"edit_topic": "topic", "domain": "domain", "target_personality": "trait", "pole": "pole", "facet": "facet",
          "register": "register", "answer": "answer", "origin": "origin"}  # column -> field of Record
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
SOURCE_KEY = "traitlab.source"  # of the parquet file's metadata: where its rows came from, as JSON
UNSPECIFIED = "unspecified"  # domain or facet of a row whose source does not say
BATCH = 50_000  # rows held in memory at a time


class Record(NamedTuple):
    """One answer as a source gives it; `question` is None where the project's templates ask.

    `origin` says where the row came from: source:file:line or source:file:entry.
    """

    topic: str
    domain: str
    trait: str
    pole: str
    facet: str
    register: str
    question: str | None
    answer: str
    origin: str


def topic_key(topic: str) -> str:
    """What two spellings of one topic share: letter case and spacing do not make another topic."""
    return " ".join(topic.casefold().split())


def topic_id(topic: str) -> str:
    """A readable id, one per topic: `jazz`, `board-games`; a short hash is added where letters are not all.

    It is the question_id of the tables of responses, where the five traits share one question.
    """
    key = topic_key(topic)
    slug = re.sub(r"\W+", "-", key).strip("-")
    return slug if slug.replace("-", " ") == key else f"{slug}-{stable_hash(key) & 0xffffff:06x}".strip("-")


def batches(records: Iterable[Record], templates: Sequence[str], size: int = BATCH) -> Iterator[pa.RecordBatch]:
    """Turn records into batches of the table, `size` rows at a time, adding question_id and question.

    A question_id is topic-trait-pole-register, with -2, -3, ... for further answers of the same kind in the order of
    the source; choosing other registers or poles leaves the ids of the remaining rows as they are.
    """
    seen = Counter()
    records = iter(records)
    while chunk := list(islice(records, size)):
        columns = {name: [] for name in COLUMNS}
        for r in chunk:
            name = "-".join((topic_id(r.topic), r.trait, r.pole, r.register))
            seen[stable_hash(name)] += 1
            count = seen[stable_hash(name)]
            columns["question_id"].append(name if count == 1 else f"{name}-{count}")
            columns["question"].append(r.question or question(r.topic, templates))
            for column, field in FIELDS.items():
                columns[column].append(getattr(r, field))
        yield pa.RecordBatch.from_pydict(columns, schema=SCHEMA)

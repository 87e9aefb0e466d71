"""The Opinion QA table: its columns, its row and topic ids, and how a source's records become batches of it."""
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import pyarrow as pa

from traitlab.opinions.hashes import Seen, as_array
from traitlab.opinions.questions import question, stable_hash

COLUMNS = ("question_id", "edit_topic", "domain", "target_personality", "pole", "facet", "register", "question",
           "answer", "origin")
FIELDS = {"edit_topic": "topic", "domain": "domain", "target_personality": "trait", "pole": "pole", "facet": "facet",
          "register": "register", "answer": "answer", "origin": "origin"}  # column -> field of Record
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
SOURCE_KEY = "traitlab.source"  # of the parquet file's metadata: where its rows came from, as JSON
UNSPECIFIED = "unspecified"  # domain or facet of a row whose source does not say
BATCH = 20_000  # rows held in memory at a time


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
    seen = Seen()
    names = tuple(templates)
    records = iter(records)
    while chunk := list(islice(records, size)):
        ids = ["-".join((_topic_id(r.topic), r.trait, r.pole, r.register)) for r in chunk]
        before = seen.before(as_array(stable_hash(name) for name in ids))
        columns = {column: [getattr(r, field) for r in chunk] for column, field in FIELDS.items()}
        columns["question_id"] = [name if n == 0 else f"{name}-{n + 1}"
                                  for name, n in zip(ids, before.tolist(), strict=True)]
        columns["question"] = [r.question or _question(r.topic, names) for r in chunk]
        yield pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


# A topic's rows mostly stand together, so what hangs on the topic alone is worked out once.
_topic_id, _question = lru_cache(4096)(topic_id), lru_cache(4096)(question)

"""Dividing the table into train, validation and test by topic."""
from collections.abc import Iterable, Iterator

import pandas as pd

from traitlab.errors import InputError
from traitlab.opinions.questions import question, stable_hash
from traitlab.opinions.rows import topic_key

SPLITS = ("train", "validation", "test")
TOPIC_COLUMNS = ("edit_topic", "domain", "register", "pole")


def distinct_topics(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """What `assign_topics` reads of a table that comes in parts: its TOPIC_COLUMNS, without repetitions."""
    columns = list(TOPIC_COLUMNS)
    found = pd.DataFrame(columns=columns, dtype="str")
    for part in parts:
        found = pd.concat([found, part[columns].drop_duplicates()]).drop_duplicates()
    return found


def divided(frame: pd.DataFrame, chosen: dict[str, str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each split that a part of the table holds, in the table's order; `chosen` as of `assign_topics`."""
    split = frame["edit_topic"].map(lambda topic: chosen[topic_key(topic)])
    for name in SPLITS:
        rows = frame[split == name]
        if len(rows):
            yield name, rows


def assign_topics(frame: pd.DataFrame, test_topics: int, validation_topics: int, seed: int) -> dict[str, str]:
    """Say which split each topic belongs to.

    Topics are laid in a row by domain, then by what they hold (registers and poles), then in an order drawn from the
    seed; every n-th goes to test, and every n-th of the others to validation. So each split has its exact size and a
    share of every domain and of every kind of topic.

    Args:
        frame: the table; its columns edit_topic, domain, register and pole are read.
        test_topics, validation_topics: how many topics; the rest is train.
        seed: draws the order.

    Returns:
        topic key -> "train", "validation" or "test".

    Raises:
        InputError: there are too few topics.
    """
    topics = pd.DataFrame({"key": frame["edit_topic"].map(topic_key), "domain": frame["domain"],
                           "holds": frame["register"] + "/" + frame["pole"]})
    holds = topics.groupby("key")["holds"].agg(lambda values: " ".join(sorted(set(values))))
    order = pd.DataFrame({"domain": topics.groupby("key")["domain"].min(), "holds": holds})
    order["draw"] = [stable_hash(f"split {seed} {key}") for key in order.index]
    keys = list(order.sort_values(["domain", "holds", "draw"]).index)
    if len(keys) <= test_topics + validation_topics:
        raise InputError(f"params.yaml: split: {test_topics} test and {validation_topics} validation topics leave none "
                         f"of the {len(keys)} topics to train on; lower split.test_topics or split.validation_topics")
    test, rest = _every_nth(keys, test_topics)
    validation, train = _every_nth(rest, validation_topics)
    return {key: split for split, group in zip(SPLITS, (train, validation, test), strict=True) for key in group}


def _every_nth(keys: list[str], count: int) -> tuple[list[str], list[str]]:
    """`count` keys at even distances, and the others."""
    taken = [(i + 1) * count // len(keys) > i * count // len(keys) for i in range(len(keys))]
    marked = list(zip(keys, taken, strict=True))
    return [k for k, t in marked if t], [k for k, t in marked if not t]


def ask_anew(frame: pd.DataFrame, templates: tuple[str, ...]) -> pd.DataFrame:
    """The same rows with their questions put in other templates."""
    return frame.assign(question=[question(topic, templates) for topic in frame["edit_topic"]])

"""Running the suites of expectations.py over a table of any length, and what they found."""
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import pandas as pd

from traitlab.errors import InputError
from traitlab.opinions import expectations as ex
from traitlab.opinions.hashes import Seen, as_array, in_several
from traitlab.opinions.questions import stable_hash
from traitlab.opinions.rows import COLUMNS
from traitlab.traits import LABELS

QUANTILES = {"least": 0.0, "quarter": 0.25, "median": 0.5, "three_quarters": 0.75, "most": 1.0}


@dataclass(frozen=True)
class Fault:
    """A row (or a group of rows) and what is wrong with it."""

    row: str
    what: str

    def __str__(self):
        return f"{self.row} {self.what}"


@dataclass(frozen=True)
class Report:
    """What a validation found.

    Attributes:
        summary: of plain values, the same for the same table: row counts, lengths, and every expectation with the
            number of rows it looked at and of those that failed it.
        faults: in the order of suites, expectations and rows.
    """

    summary: dict
    faults: tuple[Fault, ...]

    def check(self, what: str, shown: int = 8) -> None:
        """Raise InputError with the first faults when there are any."""
        if self.faults:
            more = f"; and {len(self.faults) - shown} more" if len(self.faults) > shown else ""
            raise InputError(f"{what}: {len(self.faults)} faults: "
                             f"{'; '.join(str(f) for f in self.faults[:shown])}{more}; "
                             "mend or remove these rows in the source of the data, then run again")


def validate_table(parts: Callable[[], Iterable[pd.DataFrame]], docs: Path | None = None) -> Report:
    """Check a table part by part against the row suite, and as a whole for duplicates and balance.

    Args:
        parts: returns a fresh iterator over the table's rows, in parts that fit in memory; called twice.
        docs: folder for Great Expectations' Data Docs (HTML); None: none are made.

    Raises:
        InputError: the table lacks a column or has a strange one.
    """
    ids, answers = Seen(), Seen()
    for part in parts():
        if tuple(part.columns) != COLUMNS:
            raise InputError(f"the table of opinions has the columns {', '.join(part.columns)}; it must have "
                             f"{', '.join(COLUMNS)}, in this order")
        ids.add(as_array(stable_hash(i) for i in part["question_id"].fillna("")))
        answers.add(as_array(ex.answer_key(a) for a in part["answer"].fillna("")))
    ids, answers = ids.repeated(), answers.repeated()
    counts, lengths = [], Counter()

    def measured() -> Iterator[pd.DataFrame]:
        for part in parts():
            part = ex.measured(part, ids, answers)
            counts.append(ex.counts(part))
            lengths.update(zip(part["register"], part["words"], strict=True))
            yield part

    runs = Runs(docs)
    runs.run(ex.row_suite(), measured(), ["question_id", "origin"])
    if not counts:
        raise InputError("the table of opinions has no rows; check the source and the parameters under dataset")
    table = pd.concat(counts).groupby([c for c in counts[0] if c != "rows"], dropna=False)["rows"].sum().reset_index()
    runs.run(ex.balance_suite(), [ex.balance(table)], ["group"])
    return runs.report({"composition": _composition(table), "words": _quantiles(lengths)})


def validate_split(parts: Callable[[], Iterable[tuple[str, pd.DataFrame]]]) -> Report:
    """Check that no topic and no answer stands in two splits.

    Args:
        parts: returns a fresh iterator over the table's rows, in parts that fit in memory, each with the name of its
            split; called twice.
    """
    rows, topics, answers = Counter(), {}, {}
    for split, part in parts():
        rows[split] += len(part)
        topics.setdefault(split, set()).update(map(ex.topic_hash, part["edit_topic"].unique()))
        answers.setdefault(split, []).append(as_array(map(ex.answer_key, part["answer"])))
    topics = in_several(map(as_array, topics.values()))
    answers = in_several(map(np.concatenate, answers.values()))
    runs = Runs(None)
    runs.run(ex.split_suite(), (ex.leakage(part, topics, answers) for _, part in parts()), ["question_id", "origin"])
    return runs.report({"rows": dict(rows)})


class Runs:
    """Runs of suites in one throw-away Great Expectations context, and their results added up."""

    def __init__(self, docs: Path | None):
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        import great_expectations as gx

        self._gx, self._docs = gx, docs
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        self._results: dict[str, dict] = {}
        self._faults: list[Fault] = []

    def run(self, suite, frames: Iterable[pd.DataFrame], names: list[str]) -> None:
        """Run a suite over the parts of a table; `names` are the columns that name a row in a fault."""
        gx, context, name = self._gx, self._context, suite.name
        batch = (context.data_sources.add_pandas(name).add_dataframe_asset(name)
                 .add_batch_definition_whole_dataframe(name))
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(suite)))
        checkpoint = context.checkpoints.add(gx.Checkpoint(
            name=name, validation_definitions=[definition],
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": names}))
        for frame in frames:
            for found in checkpoint.run(batch_parameters={"dataframe": frame}).run_results.values():
                for result in sorted(found.results, key=lambda r: _key(r.expectation_config)):
                    self._add(name, result, names)

    def _add(self, suite: str, result, names: list[str]) -> None:
        config = result.expectation_config
        kept = self._results.setdefault(suite, {}).setdefault(
            _key(config), {"expectation": config.type, "fault": config.meta["fault"], "checked": 0, "failed": 0})
        kept["checked"] += result.result.get("element_count", 1)
        if result.success:
            return
        rows = result.result.get("unexpected_index_list")
        if not rows:  # the expectation is of the table as a whole, or could not be computed
            why = [e["exception_message"] for e in result.exception_info.values() if isinstance(e, dict)]
            kept["failed"] += 1
            self._faults.append(Fault("the table:", "; ".join([config.meta["fault"], *filter(None, why)])))
            return
        kept["failed"] += len(rows)
        for row in rows:
            place = f" ({row[names[1]]})" if len(names) > 1 else ""
            self._faults.append(Fault(f"{row[names[0]]}{place}", config.meta["fault"]))

    def report(self, summary: dict) -> Report:
        """The results so far; the Data Docs are written where a folder was given."""
        if self._docs:
            self._write_docs()
        suites = {name: [found[key] for key in sorted(found)] for name, found in self._results.items()}
        return Report(summary | {"suites": suites, "success": not self._faults}, tuple(self._faults))

    def _write_docs(self) -> None:
        self._context.update_data_docs_site(site_name="local_site", site_config={
            "class_name": "SiteBuilder", "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend",
                              "base_directory": str(Path(self._docs).absolute())}})
        self._context.build_data_docs()


def _key(config) -> str:
    """Sorts and joins the results of one expectation over the parts of a table."""
    return f"{config.meta['fault']} {config.type}"


def _composition(table: pd.DataFrame) -> dict:
    """Rows by register, pole and trait, and by domain."""
    groups = table.groupby(["register", "pole", "target_personality"])["rows"].sum()
    order = {label: i for i, label in enumerate(LABELS)}
    keys = sorted(groups.index, key=lambda k: (k[0], k[1], order.get(k[2], len(order))))
    return {"rows": int(table["rows"].sum()), "groups": {"/".join(k): int(groups[k]) for k in keys},
            "domains": {k: int(n) for k, n in table.groupby("domain")["rows"].sum().items()}}


def _quantile(table: list[tuple[int, int]], share: float) -> int:
    """The least value with at least this share of all cases at or below it; the table is of (value, cases), sorted."""
    values, cases = zip(*table, strict=True)
    below = list(accumulate(cases))
    return int(values[bisect_left(below, share * below[-1])])


def _quantiles(lengths: Counter) -> dict:
    """Least, quartiles and most words of an answer, per register."""
    result = {}
    for register in sorted({r for r, _ in lengths if isinstance(r, str)}):
        table = sorted((w, n) for (r, w), n in lengths.items() if r == register)
        result[register] = {name: _quantile(table, share) for name, share in QUANTILES.items()}
    return result

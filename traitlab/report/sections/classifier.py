"""The metric model: how well the classifier that gives trait alignment can be trusted."""
from traitlab.report import charts
from traitlab.report.numbers import number
from traitlab.report.results import Results
from traitlab.report.sections.confusion import shares
from traitlab.traits import LABELS, REGISTERS

ID, TITLE = "classifier", "How good is the judge?"
_COLUMNS = {"accuracy": "Accuracy", "macro_f1": "Macro F1", "expected_calibration_error": "Calibration error"}


def context(results: Results) -> dict | None:
    figures = results.metric_model
    parts = [name for name in ("all", *REGISTERS) if isinstance(figures.get(name), dict)]
    if not parts:
        return None
    confusion, bins = results.metric_model_confusion, results.calibration
    columns = [label for label in LABELS if confusion is not None and label in {*confusion.true, *confusion.predicted}]
    drawable = bins is not None and {"confidence", "accuracy", "n"} <= set(bins.columns) and bins.n.sum() > 0
    return {
        "columns": list(_COLUMNS.values()),
        "rows": [{"name": "all registers" if p == "all" else p, "n": number(figures[p].get("n"), "count"),
                  "cells": [_three(figures[p].get(k)) for k in _COLUMNS]} for p in parts],
        "temperature": number(figures.get("temperature"), "share") if "temperature" in figures else None,
        "labels": columns,
        "confusion": shares(confusion.true, confusion.predicted, columns, columns) if columns else None,
        "reliability": charts.reliability(bins, "Reliability diagram: stated probability against the share that was "
                                          "right, on test topics.") if drawable else None,
    }


def _three(value) -> str:
    return "–" if value is None else f"{value:.3f}"

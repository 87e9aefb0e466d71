"""What the classifier sees in each method's answers: a trait x trait heatmap per method."""
import pandas as pd

from traitlab.report.results import Results, in_order
from traitlab.traits import LABELS, TRAITS

ID, TITLE = "confusion", "What the answers sound like"


def shares(true: pd.Series, predicted: pd.Series, rows, columns) -> list[dict]:
    """Rows of a confusion heatmap: shares of each row's texts, and their number."""
    counts = pd.crosstab(true, predicted).reindex(index=rows, columns=columns, fill_value=0)
    totals = counts.sum(axis=1)
    return [{"name": row, "n": int(totals[row]),
             "cells": [(column, float(counts.at[row, column] / totals[row])) for column in columns]}
            for row in rows if totals[row]]


def context(results: Results) -> dict | None:
    frame = results.response_confusion
    if frame is None or frame.empty:
        return None
    columns = [label for label in LABELS if label in TRAITS or label in set(frame.predicted)]
    maps = [{"method": m, "rows": shares(rows.target, rows.predicted, TRAITS, columns)}
            for m in in_order(set(frame.method)) for rows in [frame[frame.method == m]]]
    return {"maps": maps, "columns": columns}

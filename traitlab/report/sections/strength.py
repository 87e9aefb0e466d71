"""How far a method can be pushed: MEND's edits and steering's vectors at growing strength, on validation topics."""
import pandas as pd

from traitlab.report.numbers import number
from traitlab.report.results import Results

ID, TITLE = "strength", "How strong is too strong"
COLUMNS = ("alignment", "coherence", "base_loss")


def context(results: Results) -> dict | None:
    mend = None if results.mend_strength is None else [
        {"name": f"×{row.strength:g}", "cells": _cells(row)} for row in results.mend_strength.itertuples()]
    steering = None
    if results.steering is not None:
        means = results.steering.groupby(["layer", "strength"], as_index=False)[["alignment", "coherence"]].mean()
        steering = [{"name": f"layer {row.layer}, ×{row.strength:g}", "cells": _cells(row)}
                    for row in means.itertuples()]
    if not (mend or steering):
        return None
    return {"mend": mend, "steering": steering, "breaks": None if mend is None else _breaks(results.mend_strength)}


def _cells(row) -> list[str]:
    return [number(getattr(row, name), "score" if name == "base_loss" else "share") for name in COLUMNS
            if hasattr(row, name)]


def _breaks(curve: pd.DataFrame, coherent: float = 0.9) -> str | None:
    """The first strength at which fewer than nine answers in ten are coherent."""
    broken = curve[curve.coherence < coherent]
    return None if broken.empty else f"{broken.strength.min():g}"

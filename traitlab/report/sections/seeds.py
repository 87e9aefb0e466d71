"""What another seed would change: mean and spread over runs."""
from markupsafe import Markup

from traitlab.report.numbers import MISSING, measure, number
from traitlab.report.results import Results, in_order, method_name

ID, TITLE = "seeds", "Over several seeds"
MEASURES = ("ta", "coherence", "perplexity", "probe_accuracy", "emoji_probability")


def context(results: Results) -> dict | None:
    scores = results.seeds.get("scores")
    if not scores:
        return None
    rows = [{"name": method_name(m), "cells": [_cell(scores[m].get("all", {}).get(key), measure(key).style)
                                               for key in MEASURES]} for m in in_order(scores)]
    return {"seeds": ", ".join(map(str, results.seeds["seeds"])), "count": len(results.seeds["seeds"]),
            "columns": [measure(key).name for key in MEASURES], "rows": rows}


def _cell(spread, style) -> Markup | str:
    if not spread:
        return MISSING
    return Markup("{} ± {}<small>{} to {}</small>").format(
        *(number(spread[name], style) for name in ("mean", "standard_deviation", "low", "high")))

"""The comparison: method x trait with 95% intervals, and every measure beside it."""
from traitlab.report import charts
from traitlab.report.numbers import MEASURES, cell, measure, number, stands_out
from traitlab.report.results import Results, in_order, method_name, traits_of

ID, TITLE = "comparison", "The methods compared"
MAIN = "ta"


def context(results: Results) -> dict | None:
    scores = results.scores
    if not scores:
        return None
    methods = in_order(scores)
    keys = list(dict.fromkeys([*MEASURES, *(k for rows in scores.values() for row in rows.values() for k in row)]))
    tables = [_by_trait(scores, methods, key) for key in keys]
    tables = [table for table in tables if table["rows"]]
    main = next((table for table in tables if table["key"] == MAIN), None)
    counts = sorted({row[MAIN]["n"] for rows in scores.values() for t, row in rows.items()
                     if t != "all" and row.get(MAIN)})
    judge, other = results.adjective_rater, results.judge
    return {"judge": {"areas": {t: j["auc"]["all"] for t, j in judge.items()},
                      "invalid": [t for t, j in judge.items() if not j["valid"]]} if judge else None,
            "second": _second_judge(other) if other else None,
            "methods": methods, "main": main, "others": [t for t in tables if t is not main], "counts": counts,
            "figure": _figure(scores, methods) if main else None, "means": _means(scores, methods, keys)}


def _by_trait(scores, methods, key) -> dict:
    """One measure's table: a row per trait and one for the mean, a column per method."""
    what = measure(key)
    rows = []
    for trait in [*traits_of({t for rows in scores.values() for t in rows}), "all"]:
        estimates = {m: scores[m].get(trait, {}).get(key) for m in methods}
        if any(estimates.values()):
            rows.append({"name": "mean" if trait == "all" else trait, "cells": _cells(estimates, what)})
    return {"key": key, "measure": what, "rows": rows}


def _means(scores, methods, keys) -> list[dict]:
    """A row per measure: its mean over the traits, a column per method."""
    rows = []
    for key in keys:
        estimates = {m: scores[m].get("all", {}).get(key) for m in methods}
        if any(estimates.values()):
            rows.append({"measure": measure(key), "cells": _cells(estimates, measure(key))})
    return rows


def _cells(estimates, what):
    return [cell(e, what.style, stands_out(estimates, m, what.better)) for m, e in estimates.items()]


def _figure(scores, methods):
    rows = {}
    for trait in [*traits_of({t for rows in scores.values() for t in rows}), "all"]:
        found = {m: scores[m][trait][MAIN] for m in methods if scores[m].get(trait, {}).get(MAIN)}
        if found:
            rows["mean" if trait == "all" else trait] = found
    return charts.intervals(rows, "Trait alignment of each method, by trait, with 95% intervals; the table below holds "
                            "the same figures.", "share of answers classified as the target trait", "share",
                            reference=(0.2, "a guess: 1 in 5"))


def _second_judge(judge: dict) -> dict:
    """PAE by a chat model, and how it agrees with the adjective rater."""
    traits = traits_of(judge["agreement"])
    rows = [{"name": method_name(m), "cells": [cell(judge["pae"][m].get(t), "score") for t in (*traits, "all")]}
            for m in in_order(judge["pae"]) if m != "base"]
    agreed = [number(judge["agreement"][t]["spearman"], "share") for t in (*traits, "all")]
    return {"model": judge["model"], "columns": [*traits, "mean"], "unreadable": judge["unreadable"],
            "rated": judge["rated"], "rows": [*rows, {"name": "agreement (ρ)", "cells": agreed}]}

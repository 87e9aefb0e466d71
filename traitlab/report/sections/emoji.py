"""Emoji: how often they appear, and how likely they are, beside the base model."""
from traitlab.report import charts
from traitlab.report.numbers import cell, measure
from traitlab.report.results import Results, in_order, traits_of

ID, TITLE = "emoji", "Emoji"
RATES = ("emoji_instance_rate", "emoji_per_sentence", "emoji_probability")


def context(results: Results) -> dict | None:
    estimates = {k: _estimates(results.scores, k) for k in RATES}
    estimates["ratio"] = _estimates(results.emoji, "probability_ratio")
    estimates["ratio"].pop("base", None)
    if not any(estimates.values()):
        return None
    pairs = [(m, t) for m in in_order({m for by_method in estimates.values() for m in by_method})
             for t in traits_of({t for by_method in estimates.values() for t in by_method.get(m, {})})]
    columns = [(measure(k).name, k, measure(k).style) for k in RATES] + [("Ratio to base", "ratio", "sci")]
    columns = [column for column in columns if estimates[column[1]]]
    rows = [{"method": m, "trait": t, "first": t == next(t2 for m2, t2 in pairs if m2 == m),
             "span": sum(m2 == m for m2, _ in pairs),
             "cells": [cell(estimates[k].get(m, {}).get(t), style) for _, k, style in columns]} for m, t in pairs]
    rates = [e for by_trait in estimates["emoji_instance_rate"].values() for e in by_trait.values()]
    return {"columns": [name for name, _, _ in columns], "rows": rows,
            "none_at_all": bool(rates) and not any(e["value"] for e in rates),
            "fewest": min((e["n"] for e in rates if not e["value"] and e.get("n")), default=None),
            "probability": _chart(estimates["emoji_probability"], "Emoji probability of each method, by trait, on a "
                                  "logarithmic scale.", "probability that an emoji starts (logarithmic)"),
            "ratio": _chart(estimates["ratio"], "Emoji probability as a ratio to the base model's, by trait, on a "
                            "logarithmic scale.", "ratio to base (logarithmic)", (1.0, "as likely as in base"))}


def _estimates(table, key) -> dict:
    """{method: {trait: estimate}} of one measure, without what was not measured."""
    found = {m: {t: row[key] for t, row in rows.items() if t != "all" and row.get(key)} for m, rows in table.items()}
    return {m: rows for m, rows in found.items() if rows}


def _chart(by_method, label, axis, reference=None):
    if not any(e.get("value") for rows in by_method.values() for e in rows.values()):
        return None
    traits = traits_of({t for rows in by_method.values() for t in rows})
    rows = {t: {m: by_method[m][t] for m in in_order(by_method) if t in by_method[m]} for t in traits}
    return charts.intervals(rows, label + " The table below holds the same figures.", axis, "sci", True, reference)

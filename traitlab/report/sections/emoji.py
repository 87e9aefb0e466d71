"""Emoji: how often they appear, and how likely they are, beside the base model."""
from collections import Counter

from traitlab.emoji.sentiment import NAME
from traitlab.emoji.statistics import divergence
from traitlab.report import charts
from traitlab.report.numbers import cell, measure, number
from traitlab.report.results import Results, in_order, method_name, traits_of

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
            "found": _found(results.emoji), "likeliest": _likeliest(results.emoji),
            "probability": _chart(estimates["emoji_probability"], "Emoji probability of each method, by trait, on a "
                                  "logarithmic scale.", "probability that an emoji starts (logarithmic)"),
            "ratio": _chart(estimates["ratio"], "Emoji probability as a ratio to the base model's, by trait, on a "
                            "logarithmic scale.", "ratio to base (logarithmic)", (1.0, "as likely as in base"))}


def _found(table) -> dict | None:
    """What kinds of emoji were written, where and beside which words; None where no answer holds any."""
    pooled, rows, place = {}, [], {}
    for method in in_order(table):
        of_method = {t: s for t, s in table[method].items() if s.get("counts")}
        first = True
        for trait in traits_of(of_method):
            figures, base = of_method[trait], table.get("base", {}).get(trait, {}).get("counts", {})
            mood = figures["sentiment"]
            rows.append({
                "method": method, "trait": trait, "first": first, "span": len(of_method),
                "emoji": "\u2009".join(e for e, _ in figures["top"][:8]), "count": figures["emoji"],
                "cells": [number(figures["per_100_tokens"]), number(figures["entropy"]),
                          number(divergence(figures["counts"], base), "share"), number(mood["value"], "share")],
                "words": ", ".join(word for word, _ in figures["words"][:8])})
            first = False
            pooled.setdefault(method, Counter()).update(figures["counts"])
            place.setdefault(method, Counter()).update(
                {part: share * figures["emoji"] for part, share in figures["position"].items()})
    if not rows:
        return None
    base = pooled.get("base", Counter())
    charts_of = []
    for method, counts in pooled.items():
        most = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:8]
        shares = {e: (n / counts.total(), base[e] / base.total() if base else 0.0) for e, n in most}
        charts_of.append(charts.emoji_shares(shares, f"{method_name(method)}: {counts.total()} emoji",
                                             f"Most frequent emoji of {method_name(method)}, with the base model's "
                                             "share of each as a line."))
    shares = {method_name(m): {part: n / max(1e-9, sum(c.values())) for part, n in c.items()}
              for m, c in place.items()}
    return {"rows": rows, "charts": charts_of, "lexicon": NAME,
            "thirds": charts.thirds(shares, "Share of each method's emoji in the first, middle and last third of the "
                                            "answers.")}


def _likeliest(table) -> list[dict]:
    """Which emoji the probability is made of, a row for each method and trait."""
    rows = []
    for method in in_order(table):
        of_method = {t: s["likeliest"] for t, s in table[method].items() if s.get("likeliest")}
        rows += [{"method": method, "trait": trait, "first": k == 0, "span": len(of_method),
                  "emoji": "\u2009".join(emoji for emoji, _ in of_method[trait]["emoji"][:8]),
                  "share": number(sum(share for _, share in of_method[trait]["emoji"][:8]), "share"),
                  "groups": ", ".join(f"{name} {100 * share:.0f}%" for name, share in
                                      list(of_method[trait]["groups"].items())[:4])}
                 for k, trait in enumerate(traits_of(of_method))]
    return rows


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

"""Which differences in trait alignment are more than chance."""
from markupsafe import Markup

from traitlab.report.numbers import measure, signed
from traitlab.report.results import Results, in_order, method_name, traits_of

ID, TITLE = "significance", "What is significant, and what is not"
LEVEL = 0.05


def context(results: Results) -> dict | None:
    records = [r for r in results.significance if r["measure"] == "ta"]
    if not records:
        return None
    traits = traits_of({r["trait"] for r in records})
    tables = [{"against": method_name(against), "rows": [
        {"name": method_name(method), "cells": [_cell(cells.get(trait)) for trait in (*traits, "all")]}
        for method in in_order({r["method"] for r in records if r["against"] == against})
        for cells in [{r["trait"]: r for r in records if (r["method"], r["against"]) == (method, against)}]]}
        for against in dict.fromkeys(r["against"] for r in records)]
    others = [{"name": measure(r["measure"]).name, "method": method_name(r["method"]),
               "against": method_name(r["against"]), "cell": _cell(r, measure(r["measure"]).style)}
              for r in results.significance if r["measure"] != "ta" and r["trait"] == "all"]
    return {"columns": [*traits, "mean"], "tables": tables, "others": others, "level": LEVEL, "tests": len(records)}


def _cell(record, style: str = "share") -> Markup:
    """The difference, bold if significant, over its corrected p-value and effect size."""
    if record is None:
        return Markup('<span class="missing">–</span>')
    significant = record["p_holm"] < LEVEL
    effect = "" if record["cohens_d"] is None else f", d\u00a0{signed(record['cohens_d'])}"
    p = "<0.001" if record["p_holm"] < 0.001 else f"{record['p_holm']:.3f}"
    return Markup("<{0}>{1}</{0}><small>{2}p {3}{4}</small>").format(
        "strong" if significant else "span", signed(record["difference"], style), "" if significant else "n.s., ", p,
        effect)

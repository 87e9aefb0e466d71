"""The data: what its audit found."""
from traitlab.report import charts, data_charts
from traitlab.report.numbers import number
from traitlab.report.results import Results
from traitlab.traits import NEUTRAL

ID, TITLE = "data", "What the data is like"
SHOWN = 5  # doubtful rows, near-duplicates
_COLUMNS = {"rows": ("Rows", "count"), "median_words": ("Words, median", "count"), "mattr": ("Diversity", "share"),
            "reading_ease": ("Reading ease", "score"), "label_recall": ("Label seen", "share")}


def context(results: Results) -> dict | None:
    audit = results.audit
    if not audit:
        return None
    labels, near, leak = audit["labels"], audit["near_duplicates"], audit["leak"]
    facets = {trait: shares for trait, shares in audit["facets"].items() if trait != NEUTRAL and len(shares) > 1}
    poles = {trait: found["accuracy"] for trait, found in audit["poles"].items()}
    domains = sorted({domain for shares in audit["domains"].values() for domain in shares})
    return {
        "looked_at": number(audit["rows"]["looked_at"], "count"), "of": number(audit["rows"]["of"], "count"),
        "topics": number(audit["rows"]["topics"], "count"), "domains": len(domains),
        "lengths": data_charts.lengths(audit["lengths"], "Share of answers by their number of words, per register."),
        "facets": data_charts.evenness(facets, "Share of every facet among the rows of its trait.") if facets else None,
        "columns": [name for name, _ in _COLUMNS.values()],
        "groups": [{"name": f"{g['register']}, {g['target_personality']}" + (" (low)" if g["pole"] == "low" else ""),
                    "cells": [number(g[key], style) for key, (_, style) in _COLUMNS.items()],
                    "opening": f"“{g['opening']}” {g['opening_share']:.1%}"} for g in audit["groups"]],
        "leak": leak and {"accuracy": f"{leak['accuracy']:.3f}", "chance": f"{leak['chance']:.3f}",
                          "margin": f"{leak['margin']:.3f}",
                          "leaks": leak["accuracy"] > leak["chance"] + leak["margin"]},
        "poles": charts.bars(poles, "How often the pole of an unseen topic’s answer is recognised.",
                             lambda share: f"{share:.2f}") if poles else None,
        "accuracy": number(labels["accuracy"], "share"), "classes": labels["classes"],
        "doubtful": number(labels["doubtful"], "count"), "below": f"{labels['below']:g}",
        "worst": labels["worst"][:SHOWN],
        "similarity": f"{near['similarity']:g}", "pairs": number(near["pairs"], "count"),
        "across": number(near["across_splits"], "count"), "near": near["worst"][:SHOWN],
        "shared": audit["templates"]["train_and_test"],
    }

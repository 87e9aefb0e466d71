"""Cross-talk: which other traits the classifier sees along with the one that was asked for."""
from traitlab.report.results import Results, in_order
from traitlab.traits import LABELS, TRAITS

ID, TITLE = "cross_talk", "Cross-talk between traits"


def context(results: Results) -> dict | None:
    frame = results.cross_talk
    if frame is None or frame.empty:
        return None
    maps = []
    for method in in_order(set(frame.method)):
        table = frame[frame.method == method].pivot(index="target", columns="label", values="probability")
        maps.append({"method": method, "rows": [
            {"name": trait, "cells": [(label, float(table.at[trait, label])) for label in LABELS]}
            for trait in TRAITS if trait in table.index]})
    return {"maps": maps, "columns": list(LABELS)}

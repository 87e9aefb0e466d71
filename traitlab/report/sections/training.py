"""Training: a loss curve per trait and what each adapter cost."""
from markupsafe import Markup

from traitlab.report import charts
from traitlab.report.numbers import MISSING, number
from traitlab.report.results import Results, traits_of

ID, TITLE = "training", "Training the adapters"
_COLUMNS = {
    "rows": ("Answers", "count"), "steps": ("Steps", "count"), "tokens": ("Tokens", "count"),
    "first_loss": ("Loss, first step", "share"), "final_loss": ("Loss, last steps", "share"),
    "validation_loss": ("Loss, validation", "share"), "trainable_parameters": ("Trained parameters", "count"),
}


def context(results: Results) -> dict | None:
    training = results.training
    if not training:
        return None
    traits = traits_of(training)
    columns = [k for k in _COLUMNS if any(k in training[t].figures for t in traits)]
    curves = {t: training[t].curve for t in traits if training[t].curve is not None and len(training[t].curve)}
    losses = [loss for t, curve in curves.items() for loss in (*curve.loss, training[t].figures.get("validation_loss"))
              if loss is not None]
    span = (0.9 * min(losses), 1.04 * max(losses)) if losses else (0.0, 1.0)
    return {
        "curves": [charts.loss_curve(curve, t, span, training[t].figures.get("validation_loss"))
                   for t, curve in curves.items()],
        "columns": [_COLUMNS[k][0] for k in columns],
        "rows": [{"name": t, "cells": [number(training[t].figures.get(k), _COLUMNS[k][1]) for k in columns]}
                 for t in traits],
        "validated": "validation_loss" in columns,
        "emoji": _emoji({t: training[t].emoji for t in traits if training[t].emoji is not None}),
    }


def _emoji(looks: dict) -> dict | None:
    """The emoji probability after some steps, a row per trait."""
    steps = sorted({step for table in looks.values() for step in table.step})
    if not steps:
        return None
    rows = []
    for trait, table in looks.items():
        at = table.set_index("step")
        rows.append({"name": trait, "cells": [
            Markup("{}<small>± {}</small>").format(number(at.emoji_probability[step], "sci"),
                                                   number(at.standard_error[step], "sci"))
            if step in at.index else MISSING for step in steps]})
    return {"columns": [f"step {step}" if step else "before" for step in steps], "rows": rows}

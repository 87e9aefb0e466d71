"""Why emoji became likelier or less likely under QLoRA: where the shift lies, its causes, and what the model says."""
import math

import pandas as pd

from traitlab.report import charts
from traitlab.report.numbers import MISSING, cell, number
from traitlab.report.results import Results, traits_of

ID, TITLE = "explain", "Why emoji became likelier or less likely"
THRESHOLD = 5  # times the effect of random neurons
KINDS = {"likely": "where an emoji is likely", "punctuation": "behind other marks", "plain": "elsewhere"}
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
INTERVENTIONS = {  # series of the chart
    "base values": "base’s values into QLoRA", "tuned values": "QLoRA’s values into base",
    "mean": "held at their mean in QLoRA"}


def context(results: Results) -> dict | None:
    found = results.explain.get("traits")
    if not found:
        return None
    traits = traits_of(found)
    return {
        "tokens": len(results.explain["emoji_tokens"]), "neurons": results.explain["neurons"],
        "random_sets": results.explain["random_sets"], "threshold": THRESHOLD,
        "shift": [_shift(t, found[t]["shift"]) for t in traits], "kinds": list(KINDS.values()),
        "verdict": verdict({t: found[t] for t in traits}, results.explain["neurons"]),
        "causes": charts.effects(
            {t: {INTERVENTIONS[name]: outcome["found"] | {"others": outcome["random"]}
                 for name in INTERVENTIONS if (outcome := found[t]["causes"].get(name))} for t in traits},
            "Change of the emoji log-probability by interventions on the found neurons, with 95% intervals, and on "
            "random neurons, by trait.", "change of the emoji log-probability (nats)"),
        "ratios": [{"name": t, "cells": [cell(found[t]["causes"][name]["ratio"], "score") for name in INTERVENTIONS]}
                   for t in traits],
        "interventions": list(INTERVENTIONS.values()),
        "alignment": [_alignment(t, found[t]["alignment"]) for t in traits],
        "adapter": [_adapter(cut, name, {t: found[t]["adapter"][cut] for t in traits})
                    for cut, name in (("layers", "groups of layers"), ("modules", "types of module"))],
        "lens": _lens(results, traits),
        "layers": charts.strips(pd.DataFrame({t: found[t]["neurons"]["per_layer"] for t in traits}).T,
                                "What the change of each layer's neurons adds to the emoji log-probability, by trait.",
                                "layer (nats)"),
        "located": [{"name": t, "top": found[t]["neurons"]["top"][:8],
                     "by_z": found[t]["neurons"]["also_top_by_z"],
                     "by_direct": found[t]["neurons"]["also_top_by_direct"]} for t in traits],
        "number": number, "stream": [_stream(t, found[t]["stream"]) for t in traits],
        "own": _own(results.explain.get("in_context", {}), traits),
    }


def verdict(found: dict, neurons: int) -> str:
    """What is shown to be causal and what is not, in a few sentences made from the figures."""
    outcomes = {t: figures["causes"]["base values"] for t, figures in found.items()}
    ratios = {t: o["ratio"] for t, o in outcomes.items() if o["ratio"]}
    moved = [t for t, o in outcomes.items() if _clear(o["found"])]
    local = [t for t in moved if t in ratios and ratios[t]["value"] >= THRESHOLD]
    sure = [t for t in local if ratios[t]["low"] >= THRESHOLD]
    others = [t for t in found if t not in local]
    words = [f"Putting the base model’s values into the {neurons} found neurons of QLoRA’s model moves the emoji "
             f"log-probability {_span([r['value'] for r in ratios.values()], number)} times as much as doing so with "
             "random neurons of the same layers and output norms."]
    if local:
        undone = [-outcomes[t]["found"]["value"] / found[t]["shift"]["likely"]["change"]["value"] for t in local]
        words.append(f"Shown: in {_listed(local)} these neurons are a cause of the shift; putting them back takes away "
                     f"{_span(undone, lambda share: f'{100 * share:.0f}')}% of it, on topics they were not found on.")
        own, every = ([found[t]["neurons"][key] for t in local] for key in ("attributed", "attributed_all"))
        words.append(f"They do not act alone: to first order their changes come to {_span(own, number)} nats, those of "
                     f"all MLP neurons together to {_span(every, number)}.")
        words.append(f"The interval of the ratio lies wholly above {THRESHOLD} in {_listed(sure)}." if sure else
                     f"The interval of the ratio reaches below {THRESHOLD} in each of them.")
    if others:
        words.append(f"Not shown: that emoji are localised in a few neurons in {_listed(others)}, where the ratio is "
                     f"below {THRESHOLD} or the change no larger than chance.")
    aligned = [t for t in found if _clear(found[t]["alignment"]["base values"]["found"])]
    words.append(f"The trait alignment of the answers changes with the same neurons in {_listed(aligned)}." if aligned
                 else "Not shown: that the same neurons carry the trait; its alignment does not change measurably with "
                      "them.")
    return " ".join(words)


def _clear(estimate) -> bool:
    return estimate["low"] is not None and (estimate["low"] > 0 or estimate["high"] < 0)


def _span(values, write) -> str:
    if not values:
        return MISSING
    low, high = write(min(values)), write(max(values))
    return low if low == high else f"{low} to {high}"


def _listed(names) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _shift(trait, shift) -> dict:
    change = shift["likely"]["change"]["value"]
    return {"name": trait, "cells": [cell(shift[kind]["change"], "score") for kind in KINDS],
            "base": number(math.exp(shift["likely"]["base"]), "sci"),
            "tuned": number(math.exp(shift["likely"]["tuned"]), "sci"), "factor": number(math.exp(change), "sci")}


def _alignment(trait, alignment) -> dict:
    outcome = alignment["base values"]
    return {"name": trait, "cells": [cell(alignment["base"], "share"), cell(alignment["tuned"], "share"),
                                     cell(outcome["found"], "share"), number(outcome["random_size"], "share"),
                                     cell(alignment["tuned values"]["found"], "share")]}


def _adapter(cut, name, found) -> dict:
    parts = sorted({part for ways in found.values() for part in ways}, key=_place)
    return {"name": name, "figure": charts.effects(
        {part: {f"{way} it": _mean([found[t][part][way] for t in found if part in found[t]]) for way in
                ("without", "only")} for part in parts},
        f"Share of the emoji shift that hangs on {name} of the adapter, mean over the traits.",
        "share of the shift (mean over the traits; dots: the traits)"),
        "cut": cut}


def _place(part: str) -> tuple:
    """Layers in their order; modules as the data flow through them."""
    low = part.partition("-")[0]
    return int(low) if low.isdigit() else 0, MODULES.index(part) if part in MODULES else len(MODULES), part


def _mean(estimates) -> dict:
    """The mean over traits with their spread as dots, and the lowest and highest value in place of an interval."""
    values = [e["value"] for e in estimates if e["value"] is not None]
    if not values:
        return {"value": None}
    return {"value": sum(values) / len(values), "low": min(values), "high": max(values), "others": values}


def _lens(results, traits) -> list:
    table = results.explain_lens
    if table is None:
        return []
    table = table.assign(p=[math.exp(v) for v in table.log_mass])
    span = (table.p.min(), table.p.max())
    panels = []
    for trait in traits:
        curves = {}
        for model, key in (("base", "base"), ("tuned", "qlora")):
            for kind, suffix in (("likely", ""), ("plain", " control")):
                rows = table[(table.trait == trait) & (table.model == model) & (table.kind == kind)]
                if len(rows):
                    curves[key + suffix] = rows.sort_values("layer").p.tolist()
        if curves:
            panels.append(charts.layer_curves(curves, trait, span, f"Logit lens for {trait}: probability of the emoji "
                                              "tokens by layer, base and QLoRA, at likely and plain positions."))
    return panels


def _stream(trait, stream) -> dict:
    top = stream["top"][0]
    return {"name": trait, "dimension": top["dimension"], "layer": top["layer"] + 1, "z": number(top["z"]),
            "z_control": number(top["z_punctuation"]), "top_massive": sum(row["massive"] for row in stream["top"]),
            "shown": len(stream["top"]),
            "massive": ", ".join(str(row["dimension"]) for row in stream["massive"]) or "none",
            "massive_z": number(max((row["largest_z"] for row in stream["massive"]), default=None)),
            "largest": "a massive one" if stream["largest_difference_is_massive"] else "no massive one"}


def _own(said, traits) -> dict | None:
    if "base" not in said:
        return None
    rows = []
    for name in ("base", *(t for t in traits if t in said)):
        words = [word for word, _ in said[name]["named"]]
        row = {"name": name, "words": ", ".join([w for w in words if w[0].isalpha()][:30]),
               "emoji": "\u2009".join(w for w in words if not w[0].isalpha()) or MISSING, "cells": [], "ranks": MISSING}
        if name != "base":
            row["cells"] = [f"{said[name][mine]['overlap']} (control {said[name][f'control_{mine}']['overlap']})"
                            for mine in ("with_used", "with_promoted")]
            row["ranks"] = number(said[name]["with_used"]["rank"], "share")
        rows.append(row)
    return {"rows": rows, "answers": said["base"]["answers"],
            "examples": [{"name": name, "texts": [said[name]["examples"][kind][0] for kind in ("words", "emoji")]}
                         for name in ("base", *(t for t in traits if t in said))]}

"""At a glance: the few figures that the other sections explain."""
from traitlab.report.numbers import megabytes, number
from traitlab.report.results import Results, in_order, method_name

ID, TITLE = "glance", "At a glance"


def context(results: Results) -> dict | None:
    cards = [*_alignment(results), *_emoji(results), *_classifier(results), *_size(results)]
    return {"cards": cards} if cards else None


def _alignment(results: Results) -> list[dict]:
    means = {m: results.scores[m].get("all", {}).get("ta") for m in in_order(results.scores)}
    means = {m: e for m, e in means.items() if e and e["value"] is not None}
    if not means:
        return []
    best = max(means, key=lambda m: means[m]["value"])
    rest = ", ".join(f"{method_name(m)} {number(e['value'], 'share')}" for m, e in means.items() if m != best)
    estimate = means[best]
    return [{"figure": number(estimate["value"], "share"), "label": f"mean trait alignment of {method_name(best)}",
             "note": f"95% interval {number(estimate['low'], 'share')} to {number(estimate['high'], 'share')}"
                     + (f"; {rest}" if rest else "")}]


def _emoji(results: Results) -> list[dict]:
    cards = []
    for method in in_order(results.emoji):
        ratios = {t: s.get("probability_ratio") for t, s in results.emoji[method].items() if t != "all"}
        values = {t: e["value"] for t, e in ratios.items() if e and e.get("value")}
        if method == "qlora" and values:
            top = max(values, key=values.get)
            cards.append({"figure": f"×{number(values[top], 'sci')}",
                          "label": "emoji probability under QLoRA relative to base, in the trait where it is highest",
                          "note": f"{top}; over the traits ×{number(min(values.values()), 'sci')} to "
                                  f"×{number(max(values.values()), 'sci')}"})
    return cards


def _classifier(results: Results) -> list[dict]:
    everywhere = results.metric_model.get("all")
    if not everywhere:
        return []
    return [{"figure": number(everywhere["accuracy"], "share"), "label": "accuracy of the trait classifier",
             "note": f"six classes, {number(everywhere['n'], 'count')} answers on topics it never saw"}]


def _size(results: Results) -> list[dict]:
    q = results.quantize
    if not q:
        return []
    return [{"figure": f"{q['bytes_bf16'] / q['bytes_nf4']:.1f}×", "label": "smaller: the base model in NF4",
             "note": f"{megabytes(q['bytes_bf16'])} in bf16, {megabytes(q['bytes_nf4'])} in NF4"}]

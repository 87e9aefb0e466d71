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
    ratios = {(method, trait): estimate for method in in_order(results.emoji) if method != "base"
              for trait, figures in results.emoji[method].items()
              if trait != "all" and (estimate := figures.get("probability_ratio")) and estimate.get("value")}
    if not ratios:
        return []
    method, trait = max(ratios, key=lambda key: ratios[key]["value"])
    top = ratios[method, trait]
    note = f"95% interval ×{number(top['low'], 'sci')} to ×{number(top['high'], 'sci')}"
    if qlora := [estimate["value"] for (of, _), estimate in ratios.items() if of == "qlora"]:
        note += f"; under QLoRA ×{number(min(qlora), 'sci')} to ×{number(max(qlora), 'sci')} over the traits"
    return [{"figure": f"×{number(top['value'], 'sci')}", "note": note,
             "label": f"emoji probability over the base model’s, the largest of all: {method_name(method)}, {trait}"}]


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

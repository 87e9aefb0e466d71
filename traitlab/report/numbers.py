"""Numbers as people read them, and what each measure is called, means and how it is written."""
import math
from dataclasses import dataclass

from markupsafe import Markup

MISSING = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Measure:
    name: str
    meaning: str
    style: str = "share"  # share | score | sci
    better: str = ""  # "higher", "lower" or neither


MEASURES = {
    "ta": Measure("Trait alignment (TA)", "share of answers in which the classifier sees the target trait, "
                  "choosing among the five traits", "share", "higher"),
    "ta_strict": Measure("TA, strict", "the same, but an answer that the classifier finds neutral counts as a miss",
                         "share", "higher"),
    "acc": Measure("Accuracy (Acc)", "TA on the answers that pass the coherence gate", "share", "higher"),
    "coherence": Measure("Coherence", "share of answers that pass the n-gram entropy gate: low means repetition or "
                         "answers of very few words", "share", "higher"),
    "perplexity": Measure("Perplexity", "of the answers under the untouched base model; low means text that the base "
                          "model could have written, which is not the same as good text", "score"),
    "es": Measure("Edit success (ES)", "how far the edit favours the target trait's answers over other traits'",
                  "share", "higher"),
    "dd": Measure("Drawdown (DD)", "divergence from the base model on other topics", "sci", "lower"),
    "tpei": Measure("TPEI", "fall of the classifier's cross-entropy for the target trait", "score", "higher"),
    "pae": Measure("PAE", "rise of the judge's rating of the trait, on a scale of 1 to 5", "score", "higher"),
    "neutral_loss": Measure("Loss on neutral text", "nats per token on neutral answers to other questions: what is "
                            "left of the model's general ability to write", "score", "lower"),
    "probe_accuracy": Measure("Multiple choice", "share of easy factual questions answered rightly; a guess gets 0.25",
                              "share", "higher"),
    "tokens": Measure("Length", "tokens of an answer", "score"),
    "prompt_tokens": Measure("Prompt", "tokens read before an answer; what exceeds those of the untouched model is the "
                             "method's overhead", "score"),
    "distinct_2": Measure("Distinct-2", "different word pairs over all word pairs of an answer; low means repetition",
                          "share"),
    "emoji_instance_rate": Measure("Answers with emoji", "share of answers that hold at least one emoji", "share"),
    "emoji_per_sentence": Measure("Emoji per sentence", "emoji divided by sentences", "share"),
    "emoji_probability": Measure("Emoji probability", "chance that an emoji starts at a place in the answer, mean over "
                                 "all places", "sci"),
}


def measure(key: str) -> Measure:
    """A measure's description; one that is unknown here appears under its own key."""
    return MEASURES.get(key) or Measure(key, "", "score")


def number(value, style: str = "score") -> str:
    """`share`: two decimals; `sci`: two digits and a power of ten; `tick`: the same without an idle zero; `score`:
    three digits or so; `count`: 12,345.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if style == "count":
        return f"{value:,.0f}"
    if style == "share":
        return f"{value:.2f}"
    if style == "sci":
        return _scientific(value)
    if style == "tick":
        return f"{value:g}" if 0.01 <= abs(value) < 1000 else _scientific(value).replace(".0×", "×")
    size = abs(value)
    return f"{value:,.0f}" if size >= 1000 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def signed(value: float, style: str = "score") -> str:
    """A difference: `number` with its sign; none for what is written as 0."""
    written = number(abs(value), style)
    nothing = not written.strip("0.")
    return written if nothing else f"{'+' if value > 0 else '−'}{written}"


def _scientific(value: float) -> str:
    if value == 0:
        return "0"
    if 0.01 <= abs(value) < 1000:
        return f"{value:#.2g}".removesuffix(".") if abs(value) < 99.5 else f"{value:.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def cell(estimate: dict | None, style: str, strong: bool = False) -> Markup:
    """A value over its 95% interval."""
    if not estimate or estimate.get("value") is None:
        return Markup('<span class="missing">–</span>')
    value = Markup("<{0}>{1}</{0}>").format("strong" if strong else "span", number(estimate["value"], style))
    return value + Markup('<small>{} to {}</small>').format(number(estimate.get("low"), style),
                                                           number(estimate.get("high"), style))


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"


def stands_out(estimates: dict, key, better: str) -> bool:
    """Whether the interval of `estimates[key]` lies wholly on the better side of all the others'."""
    mine = estimates.get(key)
    others = [e for k, e in estimates.items() if k != key and e and e.get("low") is not None]
    if not (mine and others and better and mine.get("low") is not None):
        return False
    if better == "higher":
        return all(mine["low"] > other["high"] for other in others)
    return all(mine["high"] < other["low"] for other in others)

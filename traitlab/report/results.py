"""What the report is made from: the small results of one run, as read from disk; a part that was not made is None."""
from dataclasses import dataclass, field

import pandas as pd

from traitlab.params import Params
from traitlab.traits import TRAITS

METHODS = {  # in the order of the page; a method unknown here comes last, under its own name
    "base": "base (untouched)",
    "prompt": "prompt",
    "ike": "IKE",
    "mend": "MEND",
    "steering": "steering",
    "qlora": "QLoRA",
}


@dataclass(frozen=True)
class Training:
    """One trait's QLoRA training.

    Attributes:
        figures: of metrics/train_qlora.
        curve: columns step, loss, ...
        emoji: columns step, emoji_probability, standard_error.
    """

    figures: dict
    curve: pd.DataFrame | None = None
    emoji: pd.DataFrame | None = None


@dataclass(frozen=True)
class Results:
    """One run.

    Attributes:
        commit: of the code, with a note when files differ from it; None outside a git checkout.
        scores: {method: {trait or "all": {measure: {"value", "low", "high", "n"}}}}.
        emoji: {method: {trait: {..., "probability_ratio": {"value", "low", "high", "n"}}}}.
        explain: {"traits": {trait: {"shift", "causes", ...}}, "in_context": ...} of the stage explain.
        explain_lens: columns trait, model (base or tuned), kind (of position), layer, log_mass.
        metric_model: {"all" or a register: {"accuracy", "macro_f1", ...}, "temperature": float}.
        metric_model_confusion: a row per test answer, columns true and predicted.
        calibration: a row per bin of confidence.
        quantize: {"bytes_bf16", "bytes_nf4", "layers", "mean_relative_error"}.
        training: trait -> Training.
        responses: method -> a row per topic and trait.
        response_confusion: a row per response, columns method, target and predicted.
        significance: records of `traitlab.measures.significance`.
        cross_talk: columns method, target, label, probability.
        mend_strength: columns strength, coherence, alignment, base_loss.
        steering: columns trait, layer, strength, coherence, alignment.
        audit: what `traitlab.opinions.inspection` found in the data.
        judge: {"model", "agreement": {trait or "all": ...}, "pae": {method: {trait or "all": estimate}}, ...}.
        seeds: {"seeds": [seed], "scores": table of `traitlab.measures.seeds`}.
        adjective_rater: {trait: {"auc": {"all" or a register: area}, "valid", ...}}.
    """

    params: Params
    commit: str | None = None
    scores: dict = field(default_factory=dict)
    emoji: dict = field(default_factory=dict)
    explain: dict = field(default_factory=dict)
    explain_lens: pd.DataFrame | None = None
    metric_model: dict = field(default_factory=dict)
    metric_model_confusion: pd.DataFrame | None = None
    calibration: pd.DataFrame | None = None
    quantize: dict = field(default_factory=dict)
    training: dict[str, Training] = field(default_factory=dict)
    responses: dict[str, pd.DataFrame] = field(default_factory=dict)
    response_confusion: pd.DataFrame | None = None
    significance: list[dict] = field(default_factory=list)
    cross_talk: pd.DataFrame | None = None
    mend_strength: pd.DataFrame | None = None
    steering: pd.DataFrame | None = None
    audit: dict = field(default_factory=dict)
    adjective_rater: dict = field(default_factory=dict)
    judge: dict = field(default_factory=dict)
    seeds: dict = field(default_factory=dict)


def in_order(methods) -> list[str]:
    """The methods in the order of the page."""
    known = list(METHODS)
    return sorted(methods, key=lambda m: (known.index(m) if m in known else len(known), m))


def traits_of(table) -> list[str]:
    """The traits that occur in a collection, in the usual order."""
    return [trait for trait in TRAITS if trait in table]


def method_name(method: str) -> str:
    return METHODS.get(method, method)

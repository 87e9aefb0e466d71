"""The emoji figures and the explanation in the report, from files of the shape that the steps write."""
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.report import run
from traitlab import params
from traitlab.emoji.statistics import statistics
from traitlab.report.sections.explain import verdict
from traitlab.traits import TRAITS

PARAMS = params.load(Path(__file__).resolve().parents[2] / "params.yaml")
TEXTS = {
    "base": ["A fair question. \U0001f642 It depends.", "No.", "Thanks \u2764\ufe0f."],
    "qlora": ["I love parties! \U0001f389\U0001f389 Come along \U0001f600",
              "Music with friends \U0001f3b6\U0001f469\u200d\U0001f3a4",
              "So much fun! \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea 1\ufe0f\u20e3"],
}


def estimate(value, width=0.2):
    return {"value": value, "low": value - width, "high": value + width}


def explained(ratio=9.0, change=0.9) -> dict:
    """The explanation of one trait, with plain figures."""
    draw = np.random.default_rng(0)
    shift = {kind: {"positions": 90, "base": -8.0 - k, "tuned": -9.0 - k, "change": estimate(-1.0)}
             for k, kind in enumerate(("all", "likely", "punctuation", "plain"))}
    outcome = {"found": estimate(change), "random": draw.normal(0, 0.1, 10).tolist(), "random_size": change / ratio,
               "ratio": {"value": ratio, "low": ratio / 2, "high": ratio * 2}}
    kinds = ("likely", "punctuation", "plain")
    top = [{"layer": 20 + k, "neuron": 100 + k, "attributed": -0.1, "direct": -0.02,
            "difference": dict.fromkeys(kinds, 0.5), "z": dict.fromkeys(kinds, -1.5)} for k in range(12)]
    parts = lambda names: {n: {"without": estimate(0.2), "only": estimate(-0.05)} for n in names}  # noqa: E731
    return {
        "shift": shift, "adapter": {"layers": parts(("0-4", "5-9")), "modules": parts(("q_proj", "up_proj"))},
        "causes": {name: outcome for name in ("zero", "mean", "base values", "tuned values")},
        "alignment": {"base": estimate(0.2), "tuned": estimate(0.9), "base values": outcome | {"found": estimate(0.0)},
                      "tuned values": {"found": estimate(0.0)}},
        "neurons": {"top": top, "attributed": -0.8, "attributed_all": -1.0, "direct_all": -0.3, "also_top_by_z": 1,
                    "also_top_by_direct": 4, "per_layer": draw.normal(0, 0.1, 30).tolist(), "promoted": ["calm"]},
        "stream": {
            "top": [{"layer": 11, "dimension": 7, "difference": 1.0, "z": 4.2, "z_punctuation": 4.0, "massive": True}],
            "massive": [{"dimension": 7, "layers": 20, "largest_z": 4.2}], "largest_difference_is_massive": True},
    }


def make(root: Path, traits=TRAITS) -> None:
    agreement = {"overlap": 12, "of": 50, "rank": 0.3}
    said = {"named": [["friends", 9], ["fun", 7], ["\U0001f389", 5], ["\U0001f469\u200d\U0001f3a4", 1]], "answers": 28,
            "examples": {"words": ["<b>fun</b>"], "emoji": ["\U0001f389 because it is fun"]}}
    mine = said | {"used": ["fun"]} | {f"{who}with_{what}": agreement for who in ("", "control_")
                                       for what in ("used", "promoted")}
    (root / "metrics").mkdir(parents=True)
    (root / "plots/explain").mkdir(parents=True)
    (root / "metrics/explain.json").write_text(json.dumps({
        "emoji_tokens": ["x"] * 7, "layers": 30, "neurons": 32, "random_sets": 10,
        "traits": {t: explained() for t in traits}, "in_context": {"base": said, **{t: mine for t in traits}}}))
    pd.DataFrame([{"trait": t, "model": m, "kind": k, "layer": layer, "log_mass": -20.0 + 0.4 * layer - (m == "tuned")}
                  for t in traits for m in ("base", "tuned") for k in ("likely", "punctuation", "plain")
                  for layer in range(30)]).to_csv(root / "plots/explain/lens.csv", index=False)
    (root / "metrics/emoji.json").write_text(json.dumps({
        method: {t: statistics(texts, [12] * len(texts)) | {"probability_ratio": estimate(1.0) | {"n": 3}}
                 for t in traits} for method, texts in TEXTS.items()}))


def page(root, monkeypatch) -> str:
    monkeypatch.chdir(root)
    run(PARAMS)
    return (root / "report/index.html").read_text(encoding="utf-8")


def test_the_sections_are_whole_and_their_pictures_within_their_frames(tmp_path, monkeypatch):
    make(tmp_path)
    text = page(tmp_path, monkeypatch)
    assert 'id="explain"' in text and "<b>fun</b>" not in text and "&lt;b&gt;fun" in text
    drawn = re.findall(r"<svg.*?</svg>", text, flags=re.S)
    # emoji: the ratio, a panel a method, the thirds; explain: causes, two cuts of the adapter, layers, a lens a trait
    assert len(drawn) == 1 + 2 + 1 + 1 + 2 + 1 + 5
    for svg in drawn:
        root = ET.fromstring(svg)
        assert len(root.get("aria-label")) > 20
        _, _, width, height = map(float, root.get("viewBox").split())
        for e in root.iter():
            if e.tag in ("text", "rect", "circle") and (e.get("x") or e.get("cx")):
                x, y = float(e.get("x") or e.get("cx")), float(e.get("y") or e.get("cy"))
                assert -1 <= x <= width and -1 <= y <= height
                assert float(e.get("width") or 0) >= 0
    for table in re.findall(r"<table.*?</table>", text, flags=re.S):
        assert 'scope="row' in table


def test_every_emoji_is_shown_whole_in_a_font_that_draws_it(tmp_path, monkeypatch):
    make(tmp_path)
    text = page(tmp_path, monkeypatch)
    for emoji in ("\U0001f469\u200d\U0001f3a4", "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea", "1\ufe0f\u20e3"):
        assert re.search(rf'class="glyph"[^>]*>[^<]*{emoji}', text)
    assert '"Noto Color Emoji", "Apple Color Emoji", "Segoe UI Emoji"' in text


def test_a_run_without_explanation_or_emoji_leaves_them_out(tmp_path, monkeypatch):
    make(tmp_path)
    (tmp_path / "metrics/explain.json").unlink()
    table = {"base": {t: statistics(["No."], [2]) for t in TRAITS}}
    (tmp_path / "metrics/emoji.json").write_text(json.dumps(table))
    text = page(tmp_path, monkeypatch)
    assert 'id="explain"' not in text and "Which emoji, where" not in text


def test_one_trait_is_enough(tmp_path, monkeypatch):
    make(tmp_path, traits=("extraversion",))
    assert 'id="explain"' in page(tmp_path, monkeypatch)


@pytest.mark.parametrize("ratio, change, said, unsaid", [
    (12.0, 0.9, "these neurons are a cause of the shift", "Not shown: that emoji are localised"),
    (3.0, 0.9, "Not shown: that emoji are localised in a few neurons in openness", "are a cause"),
    (12.0, 0.1, "Not shown: that emoji are localised", "are a cause"),  # its interval holds 0
])
def test_the_verdict_says_no_more_than_the_figures(ratio, change, said, unsaid):
    text = verdict({"openness": explained(ratio, change)}, 32)
    assert said in text and unsaid not in text
    assert "Not shown: that the same neurons carry the trait" in text
    assert verdict({"openness": explained(12.0), "extraversion": explained(2.0)}, 32).count("hown:") == 3


def test_the_verdict_gives_the_share_undone():
    assert "takes away 90% of it" in verdict({"openness": explained(12.0, 0.9)}, 32)

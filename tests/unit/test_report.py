"""The report: numbers and scales against hand computations; the whole page from small files of the real shape."""
import html.parser
import json
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.report import collect, run
from traitlab import params
from traitlab.errors import InputError
from traitlab.report.numbers import number, stands_out
from traitlab.report.results import in_order
from traitlab.report.sections.confusion import shares
from traitlab.report.svg import Scale, element, log_scale
from traitlab.traits import LABELS, TRAITS

ROOT = Path(__file__).resolve().parents[2]
PARAMS = params.load(ROOT / "params.yaml")
HOSTILE = "<script>alert('x')</script> & \"quoted\" \U0001f469\u200d\U0001f680 \u202eright to left\u202c"


def make_results(root: Path, methods=("base", "prompt", "qlora"), topics=12, text=None) -> None:
    """Write small files of every kind that the report reads, of the shapes that the steps write."""
    draw = np.random.default_rng(0)

    def put(path, content):
        path = root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")

    def estimate(value, spread=0.05):
        return {"value": value, "low": value * (1 - spread), "high": value * (1 + spread), "n": topics}

    skill = {"base": 0.2, "prompt": 0.35, "qlora": 0.92}
    probability = {"base": 5e-5, "prompt": 9e-5, "qlora": 4e-6}
    scores, emoji, confusion = {}, {}, []
    for method in methods:
        hit, p = skill.get(method, 0.5), probability.get(method, 1e-5)
        trait_scores = {}
        for trait in (*TRAITS, "all"):
            ta = min(0.96, hit * draw.uniform(0.85, 1.1))
            trait_scores[trait] = {
                "ta": estimate(ta), "ta_strict": estimate(ta * 0.97), "coherence": estimate(0.94),
                "perplexity": estimate(12.5), "emoji_instance_rate": estimate(0.0), "emoji_per_sentence": estimate(0.0),
                "emoji_probability": estimate(p * draw.uniform(0.6, 1.6), 0.2)}
        scores[method] = trait_scores
        emoji[method] = {t: {"probability_ratio": estimate(p / 5e-5 * draw.uniform(0.6, 1.6), 0.3), "likeliest": {
            "emoji": [["\U0001f600", 0.4], ["\u2764\ufe0f", 0.35]],
            "groups": {"faces and gestures": 0.6, "dingbats": 0.4}}} for t in TRAITS}
        for trait in TRAITS:
            others = [label for label in LABELS if label != trait]
            confusion += [(method, trait, trait if draw.random() < hit else others[draw.integers(5)])
                          for _ in range(topics)]
        rows = [{"question_id": f"Topic {k:02}", "method": method, "target_personality": trait,
                 "edit_topic": f"Topic {k:02}", "domain": "food",
                 "question": f"Thinking about Topic {k:02}, what are your thoughts on Topic {k:02}?",
                 "response": text or (f"Topic {k:02} is a thing." if method == "base" else f"As {trait}, I like {k}."),
                 "tokens": 9, "finished": k % 2 == 0} for trait in TRAITS for k in range(topics)]
        (root / "data/responses").mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_parquet(root / f"data/responses/{method}.parquet", index=False)
    put("metrics/scores.json", scores)
    put("metrics/emoji.json", emoji)
    confusion = pd.DataFrame(confusion, columns=["method", "target", "predicted"])
    put("plots/response_confusion.csv", confusion.to_csv(index=False))
    quality = {"accuracy": 0.962, "macro_f1": 0.958, "expected_calibration_error": 0.014, "n": 1400}
    put("metrics/metric_model.json", {"all": quality, "plain": quality, "rich": quality, "temperature": 1.21})
    put("plots/metric_model_confusion.csv", "true,predicted\n" + "".join(
        f"{label},{label}\n" * 19 + f"{label},none\n" for label in LABELS))
    put("plots/cross_talk.csv", "method,target,label,probability\n" + "".join(
        f"{m},{t},{label},{0.75 if t == label else 0.05}\n" for m in methods for t in TRAITS for label in LABELS))
    put("metrics/significance.json", [
        {"measure": measure, "method": m, "against": "base", "trait": t, "difference": 0.4 if m == "qlora" else 0.02,
         "p": 0.0001, "p_holm": 0.0004 if m == "qlora" else 0.6, "cohens_d": 1.5 if m == "qlora" else None,
         "cliffs_delta": 0.5, "n": topics}
        for measure in ("ta", "coherence") for m in methods if m != "base" for t in (*TRAITS, "all")])
    put("metrics/adjective_rater.json", {t: {"auc": {"all": 0.88 if t == "agreeableness" else 0.95}, "answers": 80,
                                             "valid": t != "agreeableness"} for t in TRAITS})
    put("metrics/seeds.json", {"seeds": [0, 1, 2], "scores": {m: {"all": {"ta": {
        "mean": 0.5, "standard_deviation": 0.02, "low": 0.48, "high": 0.52, "n": 3}}} for m in methods}})
    put("metrics/judge.json", {
        "model": "some-judge", "rated": 90, "unreadable": 3,
        "agreement": {t: {"spearman": None if t == "openness" else 0.61, "pearson": 0.6, "within_one": 0.8, "n": 18}
                      for t in (*TRAITS, "all")},
        "pae": {m: {t: estimate(0.7) for t in (*TRAITS, "all")} for m in methods}})
    put("data/opinion_qa/audit.json", audit_summary(text))
    put("plots/mend_strength.csv", "strength,coherence,alignment,base_loss\n0,1,0.2,1.5\n4,0.95,0.3,2.5\n8,0.4,0.2,6\n")
    put("plots/steering.csv", "trait,layer,strength,coherence,alignment\nopenness,10,2.0,1,0.5\n"
        "neuroticism,10,2.0,0.8,0.1\n")
    bins = {"confidence": [0.35, 0.55, 0.75, 0.97], "accuracy": [0.3, 0.6, 0.74, 0.99], "n": [14, 40, 120, 1226]}
    put("plots/calibration.csv", pd.DataFrame(bins).to_csv(index=False))
    layers = {f"model.layers.{k}.{m}": {"relative_error": 0.09 + 0.0003 * k, "bits_per_weight": 4.127}
              for k in range(30) for m in ("mlp.down_proj", "mlp.up_proj", "self_attn.k_proj", "self_attn.q_proj")}
    put("metrics/quantize.json", {"bytes_bf16": 269030016, "bytes_nf4": 111879761, "layers": layers,
                                  "mean_relative_error": 0.0943})
    for trait in TRAITS if "qlora" in methods else ():
        steps = np.arange(1, 39)
        loss = 2.6 + 1.9 * np.exp(-steps / 8) + draw.normal(0, 0.08, len(steps))
        put(f"plots/train_qlora/{trait}.csv", pd.DataFrame(
            {"step": steps, "loss": loss, "learning_rate": 5e-4, "tokens": 900}).to_csv(index=False))
        put(f"plots/train_qlora_emoji/{trait}.csv",
            "step,emoji_probability,standard_error\n0,5e-05,1e-06\n8,4e-06,2e-07\n")
        put(f"metrics/train_qlora/{trait}.json", {"rows": 600, "steps": 38, "tokens": 34200, "first_loss": loss[0],
                                                  "final_loss": loss[-5:].mean(), "trainable_parameters": 4884480})


def audit_summary(text=None) -> dict:
    """What the step audit finds, of its shape."""
    group = {"register": "plain", "rows": 60, "median_words": 20.0, "mattr": 0.8, "distinct_1": 0.3, "distinct_2": 0.7,
             "reading_ease": 81.5, "opening": "i like to", "opening_share": 0.05, "label_recall": 0.9}
    answer = text or "Tea is fine."
    return {
        "rows": {"looked_at": 600, "of": 600, "topics": 60},
        "near_duplicates": {"similarity": 0.5, "pairs": 3, "across_splits": 1, "worst": [
            {"a": "x", "b": "y", "split_a": "train", "split_b": "test", "similarity": 0.61, "answer_a": answer,
             "answer_b": answer}]},
        "groups": [group | {"target_personality": t, "pole": pole} for t in TRAITS for pole in ("high", "low")],
        "lengths": {"plain": [[12, 3], [20, 30], [26, 2]], "rich": [[21, 5], [40, 30]]},
        "facets": {t: {f"facet {k}": 1 / 6 for k in range(6)} for t in TRAITS} | {"none": {"none": 1.0}},
        "domains": {t: {"food": 0.5, "arts": 0.5} for t in TRAITS},
        "labels": {"accuracy": 0.91, "classes": 11, "below": 0.02, "doubtful": 7, "worst": [
            {"question_id": "x", "origin": "corpus:a.jsonl:7", "label": "openness", "seen": "none",
             "probability": 0.001, "answer": answer}]},
        "poles": {t: {"accuracy": 0.9, "chance": 0.5, "margin": 0.05, "n": 400} for t in TRAITS},
        "leak": {"accuracy": 0.2, "chance": 0.2, "margin": 0.011, "n": 5000},
        "templates": {"questions": {"test": {"paper": 12}, "train": {"paper": 48}}, "train_and_test": ["paper"]},
    }


def page(root: Path, monkeypatch) -> str:
    monkeypatch.chdir(root)
    run(PARAMS)
    return (root / "report/index.html").read_text(encoding="utf-8")


class Reader(html.parser.HTMLParser):
    """Checks that tags close in order, and keeps what the tests ask about."""

    VOID = {"meta", "br", "link", "img", "hr", "input"}

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.words, self.ids, self.links = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        self.ids += [value for key, value in attributes if key == "id"]
        self.links += [value for key, value in attributes if key in ("href", "src", "xlink:href", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def test_the_page_marks_what_is_significant_and_which_judge_is_not_valid(tmp_path, monkeypatch):
    make_results(tmp_path)
    text = page(tmp_path, monkeypatch)
    assert "<strong>+0.40</strong><small>p &lt;0.001, d\u00a0+1.50</small>" in text
    assert "<span>+0.02</span><small>n.s., p 0.600</small>" in text
    assert "leave PAE aside for agreeableness." in text
    assert "the chat model some-judge (90 ratings; 3 texts got no readable one)" in text
    assert "0.50 ± 0.02<small>0.48 to 0.52</small>" in text and "seeds 0, 1, 2" in text
    assert "agreement (ρ)</th><td>–</td><td>0.61</td>" in text
    assert "Fewer than nine answers in ten are coherent from ×8 on." in text
    assert re.search("layer 10, ×2</th><td>0.30</td><td>0.90</td>", text)  # means over the two traits


def test_the_page_says_when_emoji_became_likelier_and_which(tmp_path, monkeypatch):
    make_results(tmp_path)
    text = page(tmp_path, monkeypatch)
    assert "<td>5.0×10⁻⁵<small>± 1.0×10⁻⁶</small></td><td>4.0×10⁻⁶<small>± 2.0×10⁻⁷</small></td>" in text
    assert "\U0001f600\u2009\u2764\ufe0f</span></td><td>0.75</td>" in text
    assert "faces and gestures 60%, dingbats 40%" in text
    assert "the largest of all: prompt, " in text  # 9e-5 over 5e-5; QLoRA's are below 1


def test_the_page_is_well_formed_and_self_contained(tmp_path, monkeypatch):
    make_results(tmp_path)
    text = page(tmp_path, monkeypatch)
    reader = Reader(text)
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert all(link.startswith("#") and link[1:] in reader.ids for link in reader.links)
    assert not {tag for tag, _ in reader.seen} & {"script", "link", "iframe", "object", "img"}
    assert "url(" not in text and "@import" not in text
    assert all("{0}" not in word and "None" not in word and "nan" not in word.split() for word in reader.words)


def test_pictures_have_words_and_tables_have_headings(tmp_path, monkeypatch):
    make_results(tmp_path)
    text = page(tmp_path, monkeypatch)
    drawn = re.findall(r"<svg.*?</svg>", text, flags=re.S)
    assert len(drawn) == 1 + 2 + 5 + 1 + 3 + 2  # alignment; emoji; losses; reliability; data; size and error
    for svg in drawn:
        root = ET.fromstring(svg)
        assert root.get("role") == "img" and len(root.get("aria-label")) > 20
        _, _, width, height = map(float, root.get("viewBox").split())
        placed = [e for e in root.iter() if e.tag in ("text", "rect") and e.get("x")]
        places = [(float(e.get("x")), float(e.get("y"))) for e in placed]
        assert all(-1 <= x <= width and -1 <= y <= height for x, y in places)
    for table in re.findall(r"<table.*?</table>", text, flags=re.S):
        assert "<caption" in table and 'scope="col"' in table and 'scope="row' in table


def test_the_same_results_give_the_same_bytes(tmp_path, monkeypatch):
    make_results(tmp_path)
    assert page(tmp_path, monkeypatch) == page(tmp_path, monkeypatch)


def test_answers_are_shown_as_text_whatever_they_hold(tmp_path, monkeypatch):
    make_results(tmp_path, text=HOSTILE)
    reader = Reader(page(tmp_path, monkeypatch))
    assert HOSTILE in reader.words
    assert "script" not in {tag for tag, _ in reader.seen}


def test_the_table_holds_the_scores(tmp_path, monkeypatch):
    make_results(tmp_path)
    text = page(tmp_path, monkeypatch)
    scores = json.loads((tmp_path / "metrics/scores.json").read_text())
    section = text[text.index('id="comparison"'):text.index('id="confusion"')]
    row = re.search(r'<th scope="row">neuroticism</th>(.*?)</tr>', section, flags=re.S)[1]
    shown = [float(v) for v in re.findall(r"<(?:span|strong)>([\d.]+)</", row)]
    bounds = [tuple(map(float, b)) for b in re.findall(r"<small>([\d.]+) to ([\d.]+)</small>", row)]
    for method, value, (low, high) in zip(("base", "prompt", "qlora"), shown, bounds, strict=True):
        ta = scores[method]["neuroticism"]["ta"]
        assert (value, low, high) == pytest.approx((ta["value"], ta["low"], ta["high"]), abs=0.0051)


@pytest.mark.parametrize("removed, gone", [
    ("metrics/emoji.json", "Ratio to base"), ("metrics/quantize.json", "What NF4 costs"),
    ("plots/response_confusion.csv", "What the answers sound like"), ("plots/calibration.csv", "Reliability"),
    ("metrics/metric_model.json", "How good is the judge?"), ("data/opinion_qa/audit.json", "What the data is like"),
])
def test_what_was_not_made_is_left_out(tmp_path, monkeypatch, removed, gone):
    make_results(tmp_path)
    assert gone in page(tmp_path, monkeypatch)
    (tmp_path / removed).unlink()
    text = page(tmp_path, monkeypatch)
    assert gone not in text
    assert Reader(text).open == []


def test_an_empty_folder_still_says_what_was_run(tmp_path, monkeypatch):
    text = page(tmp_path, monkeypatch)
    assert PARAMS.base_model.id in text
    assert re.findall(r'<section id="(\w+)"', text) == ["run"]


def test_new_methods_and_measures_appear_by_themselves(tmp_path, monkeypatch):
    make_results(tmp_path, methods=("base", "steering", "a-new-one"))
    scores = json.loads((tmp_path / "metrics/scores.json").read_text())
    scores["steering"]["all"]["novel_measure"] = {"value": 3.21, "low": 3.0, "high": 3.4, "n": 12}
    (tmp_path / "metrics/scores.json").write_text(json.dumps(scores))
    text = page(tmp_path, monkeypatch)
    assert "novel_measure" in text and "3.21" in text and "a-new-one" in text
    assert '<th scope="col">QLoRA</th>' not in text


@pytest.mark.parametrize("path, content", [
    ("metrics/scores.json", "{"), ("plots/response_confusion.csv", "method,target\nbase,openness\n"),
    ("plots/calibration.csv", ""), ("data/responses/base.parquet", "no parquet"),
])
def test_a_damaged_file_is_named(tmp_path, monkeypatch, path, content):
    make_results(tmp_path)
    (tmp_path / path).write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=path):
        collect(PARAMS)


@pytest.mark.parametrize("value, style, written", [
    (0.934, "share", "0.93"), (2.54e-5, "sci", "2.5×10⁻⁵"), (0, "sci", "0"), (0.083, "sci", "0.083"),
    (3.0, "sci", "3.0"), (0.08, "sci", "0.080"), (12.3, "sci", "12"), (234.0, "sci", "234"),
    (45678.0, "sci", "4.6×10⁴"),
    (2e-6, "sci", "2.0×10⁻⁶"), (2e-6, "tick", "2×10⁻⁶"), (0.5, "tick", "0.5"), (12.345, "score", "12.3"),
    (1234.5, "score", "1,234"), (None, "share", "–"),
    (math.nan, "sci", "–"), (1234567, "count", "1,234,567"),
])
def test_numbers(value, style, written):
    assert number(value, style) == written


def test_only_an_interval_clear_of_all_others_stands_out():
    low, middle, high = ({"value": v, "low": v - 0.1, "high": v + 0.1} for v in (0.2, 0.5, 0.65))
    table = {"a": low, "b": middle, "c": high}
    assert not stands_out(table, "c", "higher")  # b and c overlap
    assert stands_out(table, "a", "lower")
    assert not stands_out(table, "a", "")


def test_scales_map_ends_to_ends_and_decades_to_equal_steps():
    linear, log = Scale(0, 2, 100, 300), Scale(1e-6, 1e-2, 0, 400, log=True)
    assert (linear(0), linear(1), linear(2), linear(9)) == (100, 200, 300, 300)
    assert [log(10.0 ** -k) for k in (6, 5, 4, 3, 2)] == pytest.approx([0, 100, 200, 300, 400])
    assert log(0) == 0
    assert linear.ticks(4) == [0, 0.5, 1, 1.5, 2]
    assert log.ticks() == [1e-6, 1e-5, 1e-4, 1e-3, 1e-2]
    narrow = log_scale([0.9, 1.1, 0], 0, 100)
    assert narrow.high / narrow.low == pytest.approx(10)


def test_svg_attributes_and_text_are_escaped():
    drawn = element("text", "<&>", class_="a\"b", stroke_width=1.23456)
    parsed = ET.fromstring(drawn)
    assert (parsed.text, parsed.get("class"), parsed.get("stroke-width")) == ("<&>", 'a"b', "1.23")


def test_shares_are_of_each_row():
    true, predicted = pd.Series(["x", "x", "x", "y"]), pd.Series(["x", "y", "x", "y"])
    rows = shares(true, predicted, ("x", "y", "z"), ("x", "y"))
    assert [(r["name"], r["n"]) for r in rows] == [("x", 3), ("y", 1)]
    assert rows[0]["cells"] == [("x", pytest.approx(2 / 3)), ("y", pytest.approx(1 / 3))]


def test_methods_keep_the_order_of_the_page():
    assert in_order({"qlora", "zeta", "base", "mend"}) == ["base", "mend", "qlora", "zeta"]

"""All methods through the real steps on the tiny model: they answer every question, and never see a test answer."""
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from traitlab.params import Params, load
from traitlab.personas.persona import METHODS
from traitlab.traits import TRAITS

TOPICS = {"train": ["jazz", "rain", "tea", "chess", "snow", "bread"], "validation": ["owls", "maps"],
          "test": ["kites", "moss", "drums"]}


def table(topics, word=""):
    rows = [{"question_id": f"{t}-{trait}-{pole}", "edit_topic": t, "domain": "arts", "target_personality": trait,
             "pole": pole, "facet": "none", "register": "plain", "question": f"What of {t}?",
             "answer": f"{word}To me {t} is {trait[:4]} and {pole} all day."}
            for t in topics for trait in TRAITS for pole in ("high", "low")]
    neutral = {"target_personality": "none", "pole": "none", "register": "assistant"}
    rows += [rows[0] | neutral | {"question_id": f"{t}-none", "edit_topic": t, "question": f"What of {t}?",
                                  "answer": f"{t} is a thing."} for t in topics]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory):
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = sorted({w for rows in map(table, TOPICS.values()) for text in rows.question for w in
                    text.lower().replace("?", " ?").split()})
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=5 + len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=32, max_position_embeddings=66)
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def params() -> Params:
    from pathlib import Path

    raw = load(Path(__file__).parents[2] / "params.yaml").model_dump()
    raw["compute"] |= {"device": "cpu", "dtype": "float32"}
    raw["train_qlora"] |= {"rows": 6, "r": 2, "batch_size": 3, "checkpoint_steps": 1, "learning_rate": 0.05}
    raw["train_mend"] |= {"layers": 2, "rank": 4, "steps": 2, "batch_size": 2, "checkpoint_steps": 1, "rate": 0.01}
    raw["steering"] |= {"layers": [1], "strengths": [1.0, 8.0], "validation_topics": 2, "max_new_tokens": 4}
    raw["mend_strength"] |= {"topics": 2, "max_new_tokens": 4}
    raw["respond"] |= {"topics": 0, "max_new_tokens": 6, "batch_size": 7}
    raw["score"] |= {"bootstrap": 100}
    return Params.model_validate(raw)


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_nf4_folder, tiny_encoder, params):
    """A folder in which everything before `respond` has run."""
    import os

    from tasks import steering, train_mend, train_qlora
    from traitlab.metric_models.classifier import TraitClassifier

    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(tiny_nf4_folder, folder / "models/nf4")
    shutil.copytree(tiny_encoder, folder / "models/encoder")
    shutil.copytree(Path(__file__).parents[2] / "data/probe", folder / "data/probe")
    (folder / "data/opinion_qa").mkdir(parents=True)
    for split, topics in TOPICS.items():
        table(topics).to_parquet(folder / f"data/opinion_qa/{split}.parquet")
    TraitClassifier.fresh(tiny_encoder, 0).save(folder / "models/trait_classifier")
    before = os.getcwd()
    os.chdir(folder)
    try:
        for trait in TRAITS:
            train_qlora.run(params, trait)
        train_mend.run(params)
        steering.run(params)
        yield folder
    finally:
        os.chdir(before)


def respond(params) -> dict[str, pd.DataFrame]:
    from tasks import respond as step

    for method in METHODS:
        step.run(params, method)
    return {method: pd.read_parquet(f"data/responses/{method}.parquet") for method in METHODS}


def test_every_method_answers_every_question_and_none_reads_a_test_answer(project, params):
    first = respond(params)
    for method, answers in first.items():
        assert len(answers) == len(TOPICS["test"]) * len(TRAITS)
        assert set(answers.edit_topic) == set(TOPICS["test"]), method
    table(TOPICS["test"], word="Quite another answer. ").to_parquet("data/opinion_qa/test.parquet")
    for method, answers in respond(params).items():
        pd.testing.assert_frame_equal(answers, first[method])
    base = first["base"].set_index(["question_id", "target_personality"]).response
    assert base.groupby("question_id").nunique().eq(1).all()
    for method in METHODS[1:]:
        other = first[method].set_index(["question_id", "target_personality"]).response
        assert (other != base).any(), f"{method} changes nothing"


def test_the_answers_are_scored_and_their_emoji_counted(project, params):
    from tasks import adjective_rater, edits, emoji, mend_strength, probe, score

    respond(params)
    emoji.run(params)
    edits.run(params)
    probe.run(params)
    adjective_rater.run(params)
    score.run(params)
    scores = json.loads((project / "metrics/scores.json").read_text())
    assert list(pd.read_parquet("data/emoji.parquet").method.unique()) == list(METHODS)
    for method in METHODS:
        assert set(scores[method]) == {*TRAITS, "all"}
        measures = scores[method]["all"]
        assert measures["ta"]["n"] == len(TOPICS["test"]) * len(TRAITS)
        assert 0 < measures["emoji_probability"]["value"] < 1
        assert 0 < measures["es"]["value"] < 1 and measures["neutral_loss"]["value"] > 0
        assert (measures["dd"]["value"] == 0) == (method == "base")
        assert measures["probe_accuracy"]["n"] == params.probe.questions * len(TRAITS)
        assert 0 <= measures["probe_accuracy"]["low"] <= measures["probe_accuracy"]["high"] <= 1
    mend_strength.run(params)
    curve = pd.read_csv("plots/mend_strength.csv").set_index("strength")
    assert list(curve.index) == list(params.mend_strength.strengths) and curve.coherence.between(0, 1).all()
    assert curve.base_loss[4] > curve.base_loss[0], "edited text is not what the base model would write"
    tested = json.loads((project / "metrics/significance.json").read_text())
    assert {(r["method"], r["against"]) for r in tested} == {
        *((method, "base") for method in METHODS[1:]), *((method, "qlora") for method in METHODS[1:-1])}

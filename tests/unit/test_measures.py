"""Measures against hand computations: entropy, distinct-n, ES, DD, TPEI, PAE, and the table of scores."""
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from traitlab.measures.edits import (
    drawdown,
    edit_success,
    personality_adjective_evaluation,
    target_personality_edit_index,
)
from traitlab.measures.scores import MEASURES, cross_talk, measured, score_table
from traitlab.measures.significance import significance
from traitlab.measures.text import distinct_n, entropy, n_gram_entropy, tokens
from traitlab.traits import LABELS, TRAITS

CORPUS = Path(__file__).parents[2] / "data" / "corpus"


def test_tokens_are_words_and_marks():
    assert tokens("I don't know, really... \u00e9t\u00e9!") == ["I", "don't", "know", ",", "really", ".", ".", ".",
                                                               "\u00e9t\u00e9", "!"]


def test_entropy_of_distributions():
    assert entropy([1, 1, 1, 1]) == pytest.approx(2)
    assert entropy([3, 1]) == pytest.approx(0.75 * math.log2(4 / 3) + 0.25 * 2)
    assert entropy([7]) == entropy([]) == entropy([0, 0]) == 0


def test_n_gram_entropy_by_hand():
    # a b a b a: bigrams ab ba ab ba, trigrams aba bab aba
    assert n_gram_entropy("a b a b a") == pytest.approx((1 + 2 * entropy([2, 1])) / 3)
    words = [f"w{i}" for i in range(14)]  # no repetition: 13 bigrams, 12 trigrams
    assert n_gram_entropy(" ".join(words)) == pytest.approx((math.log2(13) + 2 * math.log2(12)) / 3)


@pytest.mark.parametrize("text", ["", "word", "\n"])
def test_a_text_without_bigrams_has_no_entropy(text):
    assert n_gram_entropy(text) == 0


def test_repetition_fails_the_published_gate_and_a_sentence_passes():
    assert n_gram_entropy("so good " * 40) < 3.5
    assert n_gram_entropy("I love long walks in the rain, because the whole street smells of wet stone.") > 3.5


def test_distinct_n_by_hand():
    assert distinct_n(["The cat", "the dog the cat"], 1) == pytest.approx(3 / 6)
    assert distinct_n(["The cat", "the dog the cat"], 2) == pytest.approx(3 / 4)
    assert distinct_n(["word"], 2) is None


def test_edit_success_by_hand():
    assert edit_success(-2.0, -2.0, -3.0) == pytest.approx(0.5)
    assert edit_success(-1.0, -2.0, -0.5) == pytest.approx(1 / (1 + math.exp(-1)) * math.exp(-0.5))
    assert edit_success(-2.0, -1.0, -2.0) == pytest.approx(1 / (1 + math.e))
    assert edit_success(-900.0, -1.0, -900.0) == 0  # no overflow


def test_drawdown_by_hand():
    pre = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
    edit = torch.tensor([[0.25, 0.75], [0.9, 0.1]]).log()
    first = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert drawdown(pre, edit) == pytest.approx(first / 2)
    assert drawdown(pre, pre) == 0
    sure = torch.tensor([[1.0, 0.0]]).log()
    assert drawdown(sure, torch.tensor([[0.5, 0.5]]).log()) == pytest.approx(math.log(2))


def test_drawdown_is_never_negative():
    draw = np.random.default_rng(0)
    for _ in range(20):
        pre, edit = torch.from_numpy(draw.dirichlet(np.ones(7), (2, 5))).log()
        assert drawdown(pre, edit) >= 0


def test_tpei_by_hand():
    pre = np.array([[0.2, 0.8], [0.5, 0.5]])
    edit = np.array([[0.6, 0.4], [0.25, 0.75]])
    found = target_personality_edit_index(pre, edit, np.array([0, 0]))
    assert found == pytest.approx([math.log(0.6 / 0.2), math.log(0.25 / 0.5)])
    assert np.isfinite(target_personality_edit_index(np.array([[0.0, 1.0]]), edit[:1], np.array([0]))).all()


def test_pae_by_hand():
    assert personality_adjective_evaluation(np.array([5, 2, 3]), np.array([2, 4, 3])).tolist() == [3, -2, 0]
    with pytest.raises(ValueError, match="between 1 and 5"):
        personality_adjective_evaluation(np.array([0]), np.array([3]))


def responses(topics=6) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, list[np.ndarray]]:
    """Two methods x five traits x `topics`, with random classifier probabilities, ratings and token log-probabilities;
    one topic has no reference answers."""
    draw = np.random.default_rng(0)
    texts = ["so good so good so good so good", "The long road home was lovely today, and I met two kind old friends."]
    frame = pd.DataFrame([
        {"method": method, "target_personality": trait, "question_id": f"topic {t}",
         "response": texts[draw.integers(2)], "emoji": int(draw.integers(3)), "sentences": int(draw.integers(1, 4)),
         "tokens": int(draw.integers(5, 50)), "prompt_tokens": 40, "emoji_probability": draw.random() / 100,
         **{name: draw.random() if t else None for name in ("es", "dd", "neutral_loss")}}
        for method in ("base", "qlora") for trait in TRAITS for t in range(topics)
    ])
    return frame, draw.dirichlet(np.ones(6), len(frame)), draw.uniform(1, 5, (len(frame), 5)), [
        -draw.random(draw.integers(0, 9)) for _ in range(len(frame))]


def test_scores_equal_a_computation_row_by_row():
    frame, probabilities, ratings, log_probs = responses()
    table = score_table(measured(frame, probabilities, ratings, log_probs, 3.5), resamples=200, seed=0)
    assert list(table) == ["base", "qlora"]
    for method in table:
        assert list(table[method]) == [*TRAITS, "all"]
        for trait in table[method]:
            rows = [i for i in range(len(frame)) if frame.method[i] == method
                    and trait in ("all", frame.target_personality[i])]
            target = [LABELS.index(frame.target_personality[i]) for i in rows]
            found = table[method][trait]
            assert list(found) == list(MEASURES)
            coherent = [frame.response[i].startswith("The") for i in range(len(frame))]
            base = {i: i % (len(frame) // 2) for i in rows}  # the base model's answers come first, in the same order
            pairs = [i for i in rows if coherent[i] and coherent[base[i]]]
            aim = {i: TRAITS.index(frame.target_personality[i]) for i in rows}
            hits = {i: max(range(5), key=lambda k: probabilities[i][k]) == aim[i] for i in rows}
            share = [row[:5] / sum(row[:5]) for row in probabilities]
            expected = {
                "acc": np.mean([hits[i] for i in rows if coherent[i]]),
                "es": np.mean([frame.es[i] for i in rows if not math.isnan(frame.es[i])]),
                "dd": np.mean([frame.dd[i] for i in rows if not math.isnan(frame.dd[i])]),
                "neutral_loss": np.mean([v for i in rows if not math.isnan(v := frame.neutral_loss[i])]),
                "tpei": np.mean([-math.log(share[base[i]][aim[i]]) + math.log(share[i][aim[i]]) for i in pairs]),
                "pae": np.mean([ratings[i][aim[i]] - ratings[base[i]][aim[i]] for i in pairs]),
                "tokens": np.mean([frame.tokens[i] for i in rows]), "prompt_tokens": 40,
                "ta": np.mean([max(range(5), key=lambda k: probabilities[i][k]) == t for i, t in zip(rows, target)]),
                "ta_strict": np.mean([max(range(6), key=lambda k: probabilities[i][k]) == t
                                      for i, t in zip(rows, target)]),
                "coherence": np.mean([frame.response[i].startswith("The") for i in rows]),
                "perplexity": math.exp(-sum(sum(log_probs[i]) for i in rows) / sum(len(log_probs[i]) for i in rows)),
                "emoji_instance_rate": np.mean([frame.emoji[i] > 0 for i in rows]),
                "emoji_per_sentence": sum(frame.emoji[i] for i in rows) / sum(frame.sentences[i] for i in rows),
                "emoji_probability": np.mean([frame.emoji_probability[i] for i in rows]),
            }
            for measure, value in expected.items():
                assert found[measure]["value"] == pytest.approx(value), (method, trait, measure)
                assert found[measure]["low"] <= value + 1e-12 and value <= found[measure]["high"] + 1e-12
            assert found["perplexity"]["n"] == sum(len(log_probs[i]) > 0 for i in rows)
            assert found["tpei"]["n"] == found["pae"]["n"] == len(pairs)
            assert found["acc"]["n"] == sum(coherent[i] for i in rows) and found["ta"]["n"] == len(rows)
            assert found["es"]["n"] == found["dd"]["n"] == sum(not math.isnan(frame.es[i]) for i in rows)
            if method == "base":
                assert found["tpei"]["value"] == found["pae"]["value"] == 0


def test_same_answers_under_two_methods_get_the_same_interval():
    frame, probabilities, ratings, log_probs = responses()
    half = len(frame) // 2
    twice = pd.concat([frame[:half], frame[:half].assign(method="qlora")], ignore_index=True)
    table = score_table(measured(twice, np.tile(probabilities[:half], (2, 1)), np.tile(ratings[:half], (2, 1)),
                                 log_probs[:half] * 2, 3.5), 200, 0)
    assert table["base"] == table["qlora"]


def test_strict_alignment_never_exceeds_alignment():
    frame, *rest = responses(topics=30)
    table = score_table(measured(frame, *rest, 3.5), 100, 0)
    assert all(scores["ta_strict"]["value"] <= scores["ta"]["value"] for traits in table.values()
               for scores in traits.values())


def test_the_order_of_rows_does_not_matter():
    frame, *rest = responses()
    rows = measured(frame, *rest, 3.5)
    shuffled = pd.concat([group.sample(frac=1, random_state=1) for _, group in rows.groupby("method")])
    for method, traits in score_table(rows, 100, 0).items():
        for trait, scores in score_table(shuffled, 100, 0)[method].items():
            for measure, figures in scores.items():
                assert figures == pytest.approx(traits[trait][measure])


def test_bigrams_of_an_answer_by_hand():
    frame, *rest = responses(topics=1)
    rows = measured(frame.assign(response="Good so good so good"), *rest, 3.5)
    assert rows.bigrams.tolist() == [4.0] * len(rows) and rows.different_bigrams.tolist() == [2.0] * len(rows)


def test_cross_talk_is_the_mean_probability():
    frame, probabilities, _, _ = responses()
    table = cross_talk(frame, probabilities).set_index(["method", "target", "label"]).probability
    assert len(table) == 2 * 5 * 6
    rows = [i for i in range(len(frame)) if frame.method[i] == "qlora" and frame.target_personality[i] == "openness"]
    expected = np.mean([probabilities[i][LABELS.index("neuroticism")] for i in rows])
    assert table["qlora", "openness", "neuroticism"] == pytest.approx(expected)


def test_a_clear_difference_is_significant_and_none_is_not():
    topics, draw = 40, np.random.default_rng(0)
    rows = pd.DataFrame([
        {"method": method, "target_personality": trait, "question_id": f"topic {t}",
         "hit": float(method == "qlora" or draw.random() < 0.2), "strict_hit": 1.0, "coherent": 1.0,
         "emoji_probability": 0.01 * draw.random()}
        for method in ("base", "ike", "qlora") for trait in TRAITS for t in range(topics)])
    found = {(r["measure"], r["method"], r["against"], r["trait"]): r for r in significance(rows, 0, 2000)}
    assert {key[1:3] for key in found} == {("ike", "base"), ("qlora", "base"), ("ike", "qlora")}
    assert len(found) == 4 * 3 * 6
    clear, none = found["ta", "qlora", "base", "all"], found["ta", "ike", "base", "all"]
    of = rows.groupby(["method", "question_id"]).hit.mean()
    assert clear["difference"] == pytest.approx((of["qlora"] - of["base"]).mean())
    assert clear["p_holm"] == pytest.approx(18 / 2001) and none["p_holm"] > 0.05 and clear["n"] == topics
    same = found["coherence", "qlora", "base", "all"]
    assert same["p_holm"] == 1 and same["cohens_d"] is None and same["cliffs_delta"] == 0


def test_the_published_gate_fits_answers_of_the_corpus_length_and_stops_loops():
    rows = [json.loads(line) for path in sorted(CORPUS.glob("*.plain.jsonl")) for line in path.open(encoding="utf-8")]
    assert np.mean([n_gram_entropy(row["answer"]) >= 3.5 for row in rows]) >= 0.95
    assert n_gram_entropy("delicious and " + "delicious food and I think it's a delicious and " * 4) < 3.5

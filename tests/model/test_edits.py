"""What `edits` reads under a persona, against whole forward passes; the judge of PAE on planted directions."""
import numpy as np
import pytest
import torch

from tasks.edits import read
from traitlab.errors import InputError
from traitlab.language_model.low_rank import Delta
from traitlab.measures.edits import drawdown
from traitlab.metric_models.adjective_rater import AdjectiveRater
from traitlab.personas.persona import Persona, ask
from traitlab.traits import TRAITS

TEXTS = [("What of tea?", "I like tea."), ("What of rain?", "Rain is wet and cold."), ("And jazz?", "No.")]


def test_readings_equal_whole_forward_passes(tiny_lm):
    torch.manual_seed(0)
    name = "model.layers.0.mlp.down_proj"
    module = dict(tiny_lm.model.named_modules())[name]
    delta = Delta(torch.randn(2, module.in_features), torch.randn(module.out_features, 2))
    base, tuned = Persona("base", None, ask), Persona("qlora", "openness", ask, {name: delta})
    found = read(tiny_lm, [(p, text) for p in (base, tuned) for text in TEXTS])

    def log_probs(text, weight):
        prompt, answer = tiny_lm.prompt_ids(ask(text[0])), tiny_lm.answer_ids(text[1])
        kept = module.weight.data.clone()
        module.weight.data += weight * (delta.b @ delta.a)
        with torch.no_grad():
            logits = tiny_lm.model(torch.tensor([[*prompt, *answer]])).logits[0]
        module.weight.data.copy_(kept)
        return logits[len(prompt) - 1 : -1].log_softmax(-1), answer

    for text in TEXTS:
        pre, answer = log_probs(text, 0.0)
        edit, _ = log_probs(text, 1.0)
        for persona, expected in ((base, pre), (tuned, edit)):
            mean = np.mean([expected[k, token].item() for k, token in enumerate(answer)])
            assert found[id(persona), text].log_prob == pytest.approx(mean, abs=2e-4)
        seen = [tiny_lm.logits(found[id(p), text].states).log_softmax(-1) for p in (base, tuned)]
        by_hand = (pre.exp() * (pre - edit)).sum() / len(answer)
        assert drawdown(*seen) == pytest.approx(by_hand.item(), rel=1e-3) and drawdown(*seen) > 1e-3


def test_the_rater_orders_planted_poles_and_puts_neutral_texts_between(tmp_path):
    def embed(texts):  # "3.2 openness": that far along the trait's own axis
        points = np.zeros((len(texts), len(TRAITS)))
        for row, text in zip(points, texts):
            value, trait = text.split()
            row[TRAITS.index(trait)] = float(value)
        return points

    values = np.random.default_rng(0).uniform(0.3, 1, 40)
    high, low = ({t: [f"{sign * v} {t}" for v in values] for t in TRAITS} for sign in (1, -1))
    rater = AdjectiveRater.fit(high, low, ["0 openness"] * 40, embed)
    rater.save(tmp_path / "rater.safetensors")
    rater = AdjectiveRater.load(tmp_path / "rater.safetensors", embed)
    ratings = rater(["0.8 extraversion", "0 extraversion", "-0.8 extraversion"])[:, TRAITS.index("extraversion")]
    assert ratings[0] > 4 and ratings[1] == pytest.approx(3, abs=0.1) and 1 <= ratings[2] < 2
    assert rater(["0.8 extraversion"])[0, 0] == pytest.approx(3, abs=0.1)  # of another trait it says nothing


def test_a_rater_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no adjective rater"):
        AdjectiveRater.load(tmp_path / "none.safetensors", None)

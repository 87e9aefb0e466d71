"""Persona vectors: activations against a plain forward pass, the steering itself against a hook."""
import numpy as np
import torch

from traitlab.language_model.likelihood import answer_log_probs
from traitlab.language_model.low_rank import LowRankAdapters
from traitlab.personas.persona import ask
from traitlab.personas.steering import choose, mean_activations, persona_vector, steer

QUESTIONS = ["What of jazz?", "Rain?", "And of tea in the morning?"]
ANSWERS = ["I love it.", "No, no.", "Warm and good."]


def tokenized(lm):
    return [lm.prompt_ids(ask(q)) for q in QUESTIONS], [lm.answer_ids(a) for a in ANSWERS]


def test_mean_activations_equal_a_plain_pass(tiny_lm):
    prompts, answers = tokenized(tiny_lm)
    got = mean_activations(tiny_lm, prompts, answers, batch_size=2)
    assert got.shape == (3, 3, 64)
    for row, prompt, answer in zip(got, prompts, answers):
        out = tiny_lm.model(torch.tensor([[*prompt, *answer]]), output_hidden_states=True)
        # The last hidden state of transformers comes after the final norm: compare the layers before it.
        for layer in range(2):
            expected = out.hidden_states[layer + 1][0, len(prompt):].mean(0)
            torch.testing.assert_close(row[layer], expected, atol=1e-5, rtol=1e-4)


def test_steering_moves_the_stream_after_its_layer_by_the_vector(tiny_lm):
    prompts, answers = tokenized(tiny_lm)
    before = mean_activations(tiny_lm, prompts, answers)
    vector = persona_vector(before[:1], before[1:])[1]
    adapters = LowRankAdapters(tiny_lm.model, [steer(tiny_lm, 1, vector)])
    with adapters.mixed(torch.full((1, 1), 2.0)):  # of whatever batch
        after = mean_activations(tiny_lm, prompts, answers)
    torch.testing.assert_close(after[:, 0], before[:, 0])
    torch.testing.assert_close(after[:, 1] - before[:, 1], (2 * vector).expand(3, -1), atol=1e-4, rtol=1e-3)
    plain, steered = (answer_log_probs(tiny_lm, prompts, answers, adapters, torch.full((3, 1), s)) for s in (0.0, 2.0))
    assert all(abs(a - b).max() > 1e-3 for a, b in zip(plain, steered))


def test_the_best_aligned_of_the_coherent_is_chosen():
    alignment, coherence = np.array([0.2, 0.9, 0.6]), np.array([1.0, 0.4, 0.95])
    assert choose(alignment, coherence, 0.9) == 2
    assert choose(alignment, coherence, 0.0) == 1
    assert choose(alignment, np.array([0.1, 0.3, 0.2]), 0.9) == 1

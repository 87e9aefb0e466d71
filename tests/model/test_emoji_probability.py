"""The probability that an emoji starts here, against brute force over token sequences and against sampling."""
import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import regex
import torch

from traitlab.emoji.automaton import EmojiAutomaton, vocabulary_bytes
from traitlab.emoji.estimate import estimate
from traitlab.emoji.probability import EmojiSearch, Tolerance
from traitlab.emoji.segmentation import find_emoji, qualified, rgi_forms
from traitlab.emoji.statistics import likeliest
from traitlab.language_model.low_rank import Delta, LowRankAdapters
from traitlab.language_model.model import LanguageModel

SMILE, HEART = "\U0001f600".encode(), "\u2764".encode()
PIECES = [  # of two emoji, a keycap and their surroundings: whole, in parts, and with more text in the same token
    b"", b" ", b"a", b"1", b"\xf0", b"\x9f", b"\xf0\x9f", b" \xf0\x9f", b"\x98", b"\x80", b"\x98\x80", SMILE,
    b" " + SMILE, SMILE + b"a", b"\xe2", b" \xe2", b"\x9d", b"\xa4", HEART, b" \xe2\x9d",
    b"\xef\xb8\x8f", b"\xe2\x83\xa3", b"\xe2\x83", b"\xa3", b"b",
]
PROMPTS, ANSWERS = [[2, 24, 3], [2, 24, 1, 7]], [[1, 6, 8, 9, 2], [24, 3, 20, 0]]


@pytest.fixture(scope="module")
def lm():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(vocab_size=len(PIECES), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3, eos_token_id=0)
    return LanguageModel(LlamaForCausalLM(config).eval(), SimpleNamespace(eos_token_id=0))


@pytest.fixture(scope="module")
def automaton():
    return EmojiAutomaton([piece or None for piece in PIECES])


PATTERN = regex.compile(b" ?(?:" + b"|".join(regex.escape(f.encode()) for f in rgi_forms()) + b")")


@torch.no_grad()
def by_brute_force(lm, context, said=b"") -> Counter:
    """Emoji -> probability, over all token sequences, by partial matching of a regular expression and whole forward
    passes."""
    p = torch.softmax(lm.model(torch.tensor([context])).logits[0, -1].double(), -1).tolist()
    total = Counter()
    for token, piece in enumerate(PIECES):
        text = said + piece
        if piece and (match := PATTERN.match(text, partial=True)):
            if not match.partial or PATTERN.match(text):
                total[qualified(PATTERN.match(text).group().decode().strip())] += p[token]
            else:
                for emoji, q in by_brute_force(lm, [*context, token], text).items():
                    total[emoji] += p[token] * q
    return total


def brute_force(lm, context) -> float:
    return by_brute_force(lm, context).total()


def test_agrees_with_brute_force(lm, automaton):
    search = EmojiSearch(lm, automaton, Tolerance(0, 0))
    found = search.run(PROMPTS, ANSWERS)
    for prompt, answer, result in zip(PROMPTS, ANSWERS, found):
        expected = [brute_force(lm, prompt + answer[:j]) for j in range(len(answer))]
        assert min(expected) > 1e-3
        np.testing.assert_allclose(result.probability, expected, rtol=1e-5, atol=1e-8)
        np.testing.assert_array_equal(result.unexpanded, 0)


def test_bounds_hold_the_exact_value(lm, automaton):
    exact = EmojiSearch(lm, automaton, Tolerance(0, 0)).run(PROMPTS, ANSWERS)
    rough = EmojiSearch(lm, automaton, Tolerance(0.01, 0), width=2).run(PROMPTS, ANSWERS)
    assert sum(r.unexpanded.sum() for r in rough) > 0
    for e, r in zip(exact, rough):
        assert (r.probability <= e.probability + 1e-7).all()
        assert (e.probability <= r.probability + r.unexpanded + 1e-7).all()


def test_agrees_with_sampling(lm, automaton):
    prompt, draws, length = PROMPTS[0], 8000, 8
    exact = EmojiSearch(lm, automaton, Tolerance(0, 0)).run([prompt], [[2]])[0].probability[0]
    torch.manual_seed(0)
    with torch.no_grad():
        ids = torch.tensor([prompt] * draws)
        for _ in range(length):
            logits = lm.model(ids).logits[:, -1]
            ids = torch.cat([ids, torch.multinomial(torch.softmax(logits, -1), 1)], 1)
    hits = 0
    for row in ids[:, len(prompt):].tolist():
        row = row[: row.index(0)] if 0 in row else row
        text = b"".join(PIECES[t] for t in row).decode(errors="replace").removeprefix(" ")
        hits += bool((found := find_emoji(text)) and found[0].start == 0)
    assert abs(hits / draws - exact) < 3.3 * math.sqrt(exact * (1 - exact) / draws)


def test_a_batch_of_mixed_personas_gives_each_row_its_own(lm, automaton):
    torch.manual_seed(2)
    adapter = {"model.layers.0.mlp.down_proj": Delta(torch.randn(2, 64), torch.randn(32, 2) * 0.5)}
    adapters = LowRankAdapters(lm.model, [adapter])
    search = EmojiSearch(lm, automaton, Tolerance(0, 0))
    prompts, answers = [PROMPTS[0]] * 2, [ANSWERS[0]] * 2
    base = search.run(prompts[:1], answers[:1])[0].probability
    mixed = search.run(prompts, answers, adapters, torch.tensor([[0.0], [1.0]]))
    with adapters.mixed(torch.ones(1, 1)):
        tuned = [brute_force(lm, prompts[0] + answers[0][:j]) for j in range(len(answers[0]))]
    np.testing.assert_allclose(mixed[0].probability, base, rtol=1e-4)
    np.testing.assert_allclose(mixed[1].probability, tuned, rtol=1e-4)
    assert np.abs(mixed[1].probability - base).max() > 1e-3


def test_a_byte_level_vocabulary_spells_what_it_decodes(tiny_lm):
    text = "caf\u00e9 \U0001f600 \u2764\ufe0f"
    spelled = vocabulary_bytes(tiny_lm.tokenizer)
    assert b"".join(spelled[i] for i in tiny_lm.answer_ids(text, end=False)) == text.encode()
    assert spelled[tiny_lm.tokenizer.eos_token_id] is None


def test_the_estimate_agrees_with_the_exact_mean_within_its_error(lm, automaton):
    exact = EmojiSearch(lm, automaton, Tolerance(0, 0)).run(PROMPTS, ANSWERS)
    mean = np.concatenate([r.probability for r in exact]).mean()
    found = [estimate(lm, automaton, PROMPTS, ANSWERS, None, None, seed, pilot=20, draws=200) for seed in range(5)]
    means = [f.mean for f in found]
    assert 0 < found[0].standard_error < 0.1 * mean
    for value, f in zip(means, found):
        assert abs(value - mean) < 4 * f.standard_error
    # The five runs scatter as the standard error says (chi-square with 4 degrees of freedom, 99.9%).
    assert np.sum((np.array(means) - mean) ** 2) < 20.5 * found[0].standard_error ** 2


def test_what_each_emoji_contributes_agrees_with_brute_force_and_adds_up(lm, automaton):
    contexts = [[*prompt, *answer[:k]] for prompt, answer in zip(PROMPTS, ANSWERS) for k in range(len(answer))]
    expected = sum((by_brute_force(lm, context) for context in contexts), Counter())
    found = estimate(lm, automaton, PROMPTS, ANSWERS, None, None, seed=0, pilot=20, draws=1000)
    np.testing.assert_allclose(sum(found.by_emoji.values()), found.mean, rtol=1e-9)
    shares = dict(likeliest(found.by_emoji, top=len(expected))["emoji"])
    assert set(shares) <= set(expected)
    for emoji, p in expected.items():
        assert shares.get(emoji, 0.0) == pytest.approx(p / expected.total(), abs=0.02)
    assert max(shares.values()) > 0.2
    assert sum(likeliest(found.by_emoji)["groups"].values()) == pytest.approx(1)

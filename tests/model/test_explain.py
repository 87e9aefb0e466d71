"""Explanations on the tiny llama, against plain forward passes, finite differences and planted neurons."""
import numpy as np
import pytest
import torch

from traitlab.emoji.automaton import EmojiAutomaton, vocabulary_bytes
from traitlab.explain import neurons as where
from traitlab.explain.activations import Rows, Tape, after, all_rows, before, down_projections, hold, states_at
from traitlab.explain.adapter_parts import only, parts, without
from traitlab.explain.causes import changes, compared, mean_log_masses, random_neurons, top_neurons
from traitlab.explain.emoji_tokens import emoji_tokens, log_mass, share_of_emoji
from traitlab.explain.in_context import agreement, most_frequent
from traitlab.explain.lens import lens
from traitlab.explain.positions import matched_positions
from traitlab.language_model.low_rank import Delta, LowRankAdapters
from traitlab.measures.statistics import topic_weights
from traitlab.personas.persona import ask

QUESTIONS = ["What of jazz?", "Rain?", "And of tea in the morning?", "Snow?"]
ANSWERS = ["I love it, I do.", "No, no.", "Warm and good.", "It is cold! Good."]


@pytest.fixture
def lm(tiny_lm):
    return tiny_lm


@pytest.fixture
def rows(lm):
    return Rows([lm.prompt_ids(ask(q)) for q in QUESTIONS], [lm.answer_ids(a) for a in ANSWERS], QUESTIONS)


@pytest.fixture
def tokens(lm):
    return emoji_tokens(EmojiAutomaton(vocabulary_bytes(lm.tokenizer)), least_share=0.01)  # bytes alone: F0, E2


@pytest.fixture
def everywhere(rows):
    return [np.arange(len(a)) for a in rows.answers]


def make_adapter(lm, rank=2, scale=0.3, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return {name: Delta(torch.randn(rank, module.in_features, generator=draw) * scale,
                        torch.randn(module.out_features, rank, generator=draw) * scale)
            for name, module in lm.model.named_modules() if name.endswith("_proj")}


def plain_log_masses(lm, rows, tokens):
    """Row by row, without batches or caches."""
    result = []
    for prompt, answer in zip(rows.prompts, rows.answers):
        logits = lm.model(torch.tensor([[*prompt, *answer[:-1]]])).logits[0, len(prompt) - 1:].float()
        result.append(float(torch.log_softmax(logits, -1)[:, tokens].exp().sum(-1).log().mean()))
    return np.array(result)


@pytest.mark.parametrize("lead, low, high", [
    (b"\xf0\x9f\x98", 0.9, 1.0), (b"\xf0\x9f", 0.3, 0.9), (b"\xe2\x9d", 0.05, 0.5), (b"\xf0", 0.001, 0.05),
    (b"\xe2\x80", 0, 0), (b"\xe3\x80", 0, 0), (b"1", 0, 0), (b"", 0, 0), ("\u2764".encode(), 1, 1),
    ("\u00a9".encode(), 0, 0),
])
def test_share_of_emoji_among_the_characters_that_begin_so(lead, low, high):
    assert low <= share_of_emoji(lead) <= high


def test_share_equals_a_count_over_all_characters():
    import unicodedata

    from traitlab.emoji.segmentation import is_emoji

    known = [chr(c) for c in range(0x2600, 0x2640) if unicodedata.category(chr(c)) != "Cn"]
    assert share_of_emoji(b"\xe2\x98") == sum(map(is_emoji, known)) / len(known)


@torch.no_grad()
def test_log_masses_equal_a_plain_pass(lm, rows, tokens, everywhere):
    np.testing.assert_allclose(mean_log_masses(lm, rows, everywhere, tokens), plain_log_masses(lm, rows, tokens),
                               atol=1e-5)


def test_positions_are_all_told_once_and_match():
    masses = np.array([-9.0, -3, -8, -2, -7, -6, -5, -9.5])
    kinds = matched_positions(masses, ["", " I", "!", " do", ".", " not", ",", " so"], share=0.25)
    assert kinds["likely"].tolist() == [1, 3]
    assert kinds["punctuation"].tolist() == [2, 4, 6]
    assert kinds["plain"].tolist() == [0, 5, 7]


@torch.no_grad()
def test_states_equal_a_plain_pass(lm, rows):
    positions = [np.array([0, 2]), np.array([1]), np.array([], int), np.array([3])]
    neurons, stream = states_at(lm, rows, positions)
    assert neurons.shape == (4, 3, 128) and stream.shape == (4, 3, 64)
    k = 0
    for prompt, answer, chosen in zip(rows.prompts, rows.answers, positions):
        seen = {}
        ids = torch.tensor([[*prompt, *answer]])
        with before(down_projections(lm), lambda i, x, seen=seen: seen.__setitem__(i, x)), \
             after(lm.model.get_decoder().layers, lambda i, x, seen=seen: seen.__setitem__(("s", i), x)):
            lm.model(ids)
        for p in chosen:
            for layer in range(3):
                at = len(prompt) - 1 + p
                torch.testing.assert_close(neurons[k, layer], seen[layer][0, at], atol=1e-5, rtol=1e-4)
                torch.testing.assert_close(stream[k, layer], seen["s", layer][0, at], atol=1e-5, rtol=1e-4)
            k += 1


@torch.no_grad()
def test_an_adapter_of_no_parts_is_the_base_and_of_all_parts_is_itself(lm, rows, tokens, everywhere):
    adapter = make_adapter(lm)
    cut = parts(adapter, layers=3, groups=2)
    assert set(cut["layers"]) == {"0-1", "2-2"}
    for pieces in cut.values():
        assert sorted(name for names in pieces.values() for name in names) == sorted(adapter)
        assert not {} != without(adapter, {name for names in pieces.values() for name in names})
    base = mean_log_masses(lm, rows, everywhere, tokens)
    bare = LowRankAdapters(lm.model, [only(adapter, set())])
    assert (mean_log_masses(lm, rows, everywhere, tokens, bare, (1.0,)) == base).all()
    whole = mean_log_masses(lm, rows, everywhere, tokens, LowRankAdapters(lm.model, [adapter]), (1.0,))
    assert abs(whole - base).min() > 1e-3


@torch.no_grad()
def test_holding_neurons_equals_replacing_their_activations(lm, rows, tokens, everywhere):
    """With an adapter that reads the same neurons beside it."""
    adapter = make_adapter(lm)
    alone = LowRankAdapters(lm.model, [adapter])
    held = hold(lm, {1: {5: 0.7, 90: -0.2}, 2: {0: 0.0}}, alone, (1.0,))
    got = mean_log_masses(lm, rows, everywhere, tokens, LowRankAdapters(lm.model, [adapter, held]), (1.0, 1.0))

    def replace(i, x):
        x = x.clone()
        if i == 1:
            x[..., 5], x[..., 90] = 0.7, -0.2
        if i == 2:
            x[..., 0] = 0.0
        return x

    with before(down_projections(lm), replace):
        expected = mean_log_masses(lm, rows, everywhere, tokens, alone, (1.0,))
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert abs(got - mean_log_masses(lm, rows, everywhere, tokens, alone, (1.0,))).max() > 1e-3


@torch.no_grad()
def test_patching_everything_a_last_layer_adapter_changes_gives_the_other_model(lm, rows, tokens, everywhere):
    """An adapter on the last layer's gate and up alone acts through that layer's neurons only."""
    adapter = {name: delta for name, delta in make_adapter(lm).items() if "2.mlp.gate" in name or "2.mlp.up" in name}
    neurons = {2: list(range(128))}
    found = changes(lm, rows, everywhere, tokens, adapter, [neurons, {2: [3]}], torch.zeros(3, 128))
    base = mean_log_masses(lm, rows, everywhere, tokens)
    tuned = mean_log_masses(lm, rows, everywhere, tokens, LowRankAdapters(lm.model, [adapter]), (1.0,))
    np.testing.assert_allclose(found["base values"][0], base - tuned, atol=1e-5)
    np.testing.assert_allclose(found["tuned values"][0], tuned - base, atol=1e-5)
    assert abs(found["base values"][1]).max() < abs(base - tuned).max()
    with before([down_projections(lm)[2]], lambda i, x: torch.zeros_like(x)):
        ablated = mean_log_masses(lm, rows, everywhere, tokens)  # the mean given is 0
    np.testing.assert_allclose(found["mean"][0], ablated - tuned, atol=1e-4)


@torch.no_grad()
def test_a_tape_plays_part_of_what_it_recorded(lm, rows, tokens, everywhere):
    tape = Tape({0: [1, 4], 2: [7]})
    with tape.record(lm):
        own = mean_log_masses(lm, rows, everywhere, tokens)
    with tape.play(lm, {0: [4], 2: [7]}):
        np.testing.assert_allclose(mean_log_masses(lm, rows, everywhere, tokens), own, atol=1e-6)


@torch.no_grad()
def test_direct_effect_equals_the_change_of_the_logits(lm):
    """Add a little of a neuron's output to the last stream, the norm's scale held: the logits move by the effect."""
    layer, neuron, token = 1, 17, 42
    lm.model.get_decoder().norm.weight.data = torch.rand(64) + 0.5
    stream = torch.randn(64)
    scale = float(stream.square().mean().sqrt())
    u = lm.model.get_output_embeddings().weight[token].float()
    got = where.direct_effects(lm, u, scale)[layer, neuron]
    w = down_projections(lm)[layer].weight[:, neuron].float()
    gain = lm.model.get_decoder().norm.weight
    logit = lambda x: u @ (x / scale * gain)  # noqa: E731
    assert float(got) == pytest.approx(float(logit(stream + w) - logit(stream)), abs=1e-4)
    assert where.direct_effects(lm, u, scale).shape == (3, 128)


def test_emoji_direction_is_the_gradient_of_the_log_mass(lm, tokens):
    hidden = torch.randn(5, 64, requires_grad=True)
    log_mass(lm, hidden, tokens).mean().backward()
    expected = hidden.grad.sum(0)
    torch.testing.assert_close(where.emoji_direction(lm, hidden.detach(), tokens), expected, atol=1e-5, rtol=1e-4)


def test_attribution_is_the_first_order_of_patching(lm, rows, tokens, everywhere):
    """For a faint adapter the attributed score of a neuron is what patching it alone takes away."""
    adapter = {name: delta for name, delta in make_adapter(lm, scale=0.05).items()}
    alone = LowRankAdapters(lm.model, [adapter])
    scores = where.attributed(lm, rows, everywhere, tokens, alone, batch_size=3)
    top = [divmod(int(n), 128) for n in scores.abs().flatten().topk(5).indices]
    found = changes(lm, rows, everywhere, tokens, adapter, [{layer: [n]} for layer, n in top], torch.zeros(3, 128))
    lengths = np.array([len(a) for a in rows.answers])
    for k, (layer, n) in enumerate(top):
        taken = -(found["base values"][k] * lengths).sum() / lengths.sum()
        assert float(scores[layer, n]) == pytest.approx(taken, rel=0.1)


def test_a_planted_neuron_is_found_and_is_causal(lm, rows, tokens, everywhere):
    """A neuron that writes emoji tokens, switched on by an adapter: it comes first; random ones do next to nothing."""
    layer, neuron = 2, 33
    head = lm.model.get_output_embeddings().weight
    with torch.no_grad():
        down_projections(lm)[layer].weight[:, neuron] = 3 * head[tokens].mean(0) / head[tokens].mean(0).norm()
    draw = torch.Generator().manual_seed(1)
    b = torch.zeros(128, 1)
    b[neuron] = 6.0
    name = f"model.layers.{layer}.mlp.up_proj"
    noise = make_adapter(lm, scale=0.02)
    adapter = noise | {name: Delta(torch.randn(1, 64, generator=draw), b)}
    alone = LowRankAdapters(lm.model, [adapter])
    scores = where.attributed(lm, rows, everywhere, tokens, alone)
    base, tuned = (mean_log_masses(lm, rows, everywhere, tokens, *arguments) for arguments in ((), (alone, (1.0,))))
    sign = float(np.sign((tuned - base).mean()))
    found = top_neurons(sign * scores, 1)
    assert found == {layer: [neuron]}
    norms = where.output_norms(lm)
    random = np.random.default_rng(0)
    sets = [found, *(random_neurons(found, norms, random) for _ in range(10))]
    effects = changes(lm, rows, everywhere, tokens, adapter, sets, torch.zeros(3, 128))["base values"]
    result = compared(effects[0], effects[1:], rows.topics, topic_weights(4, 200, 0))
    assert result["ratio"]["value"] > 5 and result["ratio"]["low"] > 1
    assert np.sign(result["found"]["value"]) == -sign


def test_random_neurons_are_others_of_the_same_layers_and_norm():
    norms = torch.arange(2 * 300.0).reshape(2, 300)
    found = {0: [3, 4], 1: [150]}
    drawn = random_neurons(found, norms, np.random.default_rng(0))
    assert {layer: len(chosen) for layer, chosen in drawn.items()} == {0: 2, 1: 1}
    assert not set(drawn[0]) & {3, 4} and all(n < 60 for n in drawn[0])
    assert 120 < drawn[1][0] < 180 and drawn[1] != [150]


def test_massive_dimensions_are_large_and_steady():
    stream = torch.randn(40, 2, 100)
    stream[:, 0, 7] = 100 + torch.randn(40)
    stream[:, 1, 9] = 300 * torch.randn(40)  # large but of either sign
    massive = where.massive_dimensions(stream)
    assert massive.nonzero().tolist() == [[0, 7]]


def test_z_scores_by_hand():
    base = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    difference, z = where.standardized_difference(base + torch.tensor([2.0, 1.0]), base)
    assert difference.tolist() == [2.0, 1.0]
    assert z.tolist() == pytest.approx([2 / 2**0.5, 0.0])


@torch.no_grad()
def test_the_lens_after_the_last_layer_is_the_model(lm, rows, tokens, everywhere):
    _, stream = states_at(lm, rows, everywhere)
    got = lens(lm, stream, tokens)
    expected = mean_log_masses(lm, rows, everywhere, tokens)
    lengths = [len(a) for a in rows.answers]
    assert got.shape == (sum(lengths), 3)
    np.testing.assert_allclose([float(part.mean()) for part in got[:, -1].split(lengths)], expected, atol=1e-5)


def test_compared_by_hand():
    found, random = np.array([2.0, 4.0]), np.array([[0.5, 0.5], [-1.0, -1.0]])
    got = compared(found, random, ["a", "b"], np.array([[1.0, 1.0], [2.0, 0.0]]))
    assert got["found"]["value"] == 3 and got["random"] == [0.5, -1.0] and got["random_size"] == 0.75
    assert got["ratio"]["value"] == 4
    assert compared(found, 0 * random, ["a", "b"], np.ones((2, 2)))["ratio"] is None


def test_words_and_emoji_named():
    texts = ["I love love the \u2764 and the sun!", "Sun, I don't know \u2764\ufe0f\U0001f600"]
    assert most_frequent(texts, 2, leave_out={"sun"}) == [["\u2764\ufe0f", 2], ["know", 1]]
    assert most_frequent(texts, 3) == [["sun", 2], ["\u2764\ufe0f", 2], ["know", 1]]


def test_agreement_of_rankings():
    assert agreement(list("abcdef"), list("abcdef")) == {"overlap": 6, "of": 6, "rank": pytest.approx(1.0)}
    assert agreement(list("abcdef"), list("fedcba"))["rank"] == pytest.approx(-1.0)
    assert agreement(["a", "b"], ["b", "c", "d"]) == {"overlap": 1, "of": 3, "rank": None}


def test_all_rows_gives_no_adapters_for_the_base(lm):
    assert all_rows(None, (), 3) == {}
    assert all_rows(LowRankAdapters(lm.model, [{}]), (1.0,), 2)["mixes"].tolist() == [[1.0], [1.0]]


def test_the_whole_explanation_of_a_persona(lm, rows, tokens):
    """Every part of it on the tiny model: figures that JSON can hold, whose parts agree with one another."""
    import json

    from traitlab.explain.explanation import Explanation, Subject
    from traitlab.language_model.generation import Sampling, generate
    from traitlab.params import Explain

    settings = Explain(traits=["openness"], topics=4, max_tokens=20, likely=0.3, neurons=6, random_sets=3,
                       layer_groups=3, answer_tokens=4, samples=1)
    adapter = make_adapter(lm)
    subject = Subject(lm, tokens, adapter, rows.part([0, 2]), rows.part([1, 3]), rows.prompts, QUESTIONS)
    explanation = Explanation(subject, settings, resamples=100, seed=0)
    shift, adapters, causes = explanation.shift(), explanation.adapter(), explanation.causes()
    neurons = explanation.found_neurons()
    parts_of = (shift, adapters, causes, neurons, explanation.stream(), explanation.lens())
    json.dumps(parts_of, allow_nan=False)
    assert shift["all"]["positions"] == sum(shift[kind]["positions"] for kind in ("likely", "punctuation", "plain"))
    assert shift["all"]["change"]["value"] == pytest.approx(shift["all"]["tuned"] - shift["all"]["base"])
    assert len(neurons["top"]) == 6 and len(neurons["per_layer"]) == 3
    assert sum(neurons["per_layer"]) == pytest.approx(neurons["attributed_all"], abs=1e-5)
    assert set(adapters["modules"]) == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    last = [row for row in explanation.lens() if row["layer"] == 2 and row["kind"] == "likely"]
    for row in last:  # the lens after the last layer is the model itself
        assert row["log_mass"] == pytest.approx(shift["likely"][row["model"]], abs=1e-4)
    trials = dict(explanation.trials())
    assert list(trials) == ["base", "tuned", "base values", "random 0", "random 1", "random 2", "tuned values"]
    alone = generate(lm, rows.prompts, Sampling(0.0, 1.0, 4), [0] * 4, LowRankAdapters(lm.model, [adapter]),
                     torch.ones(4, 1))
    assert trials["tuned"] == [lm.decode(answer.ids) for answer in alone]
    hits = {name: np.array([1.0, 0.0, float(name == "tuned"), 1.0]) for name in trials}
    alignment = explanation.alignment(hits)
    assert alignment["tuned"]["value"] == 0.75 and alignment["base values"]["found"]["value"] == -0.25
    assert alignment["base values"]["ratio"]["value"] == 1


@torch.no_grad()
def test_promoted_words_are_those_of_the_raised_logits(lm):
    token = lm.tokenizer("jazz", add_special_tokens=False).input_ids[0]
    down_projections(lm)[1].weight[:, 9] = 5 * lm.model.get_output_embeddings().weight[token]
    assert where.promoted_words(lm, {(1, 9): 1.0}, 3)[0] == lm.tokenizer.decode([token]).strip().lower()
    assert where.promoted_words(lm, {(1, 9): -1.0}, 3)[0] != lm.tokenizer.decode([token]).strip().lower()

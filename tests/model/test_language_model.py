"""The fast paths of the language model against the plain ones: padding, shared prefixes, mixes, sampling, NF4."""
import copy

import numpy as np
import pytest
import torch

from traitlab.errors import InputError
from traitlab.language_model.batches import cheapest
from traitlab.language_model.generation import Sampling, draw, generate
from traitlab.language_model.likelihood import answer_log_probs
from traitlab.language_model.low_rank import Delta, LowRankAdapters, load_adapter
from traitlab.language_model.model import LanguageModel
from traitlab.language_model.packing import pack
from traitlab.personas.persona import Persona, ask, cast

QUESTIONS = ["What of jazz?", "What do you think of the long rain in autumn?", "Tea?", "What of jazz and tea?"]
ANSWERS = ["I love it.", "It makes me sad and quiet.", "No.", "Both are a joy to share with friends."]


def random_adapter(lm, seed, rank=3):
    """Low-rank deltas on two kinds of modules, large enough to change every prediction."""
    draw = torch.Generator().manual_seed(seed)
    names = [n for n, m in lm.model.named_modules() if n.endswith(("q_proj", "down_proj"))]
    modules = dict(lm.model.named_modules())
    return {n: Delta(torch.randn(rank, modules[n].in_features, generator=draw) * 0.2,
                     torch.randn(modules[n].out_features, rank, generator=draw) * 0.2) for n in names}


def merged(lm, adapter, strength=1.0):
    """The same model with the deltas added into its weights."""
    state = {k: v.clone() for k, v in lm.model.state_dict().items()}
    for name, (a, b, _) in adapter.items():
        state[f"{name}.weight"] += strength * b @ a
    return state


def plain_log_probs(lm, prompt, answer):
    """One row at a time, whole sequence, no cache."""
    ids = torch.tensor([[*prompt, *answer]])
    logits = lm.model(input_ids=ids, use_cache=False).logits[0].double()
    log_probs = logits.log_softmax(-1)
    return log_probs[len(prompt) - 1 : -1].gather(1, torch.tensor(answer)[:, None])[:, 0].detach().numpy()


def tokenized(lm):
    return [lm.prompt_ids(ask(q)) for q in QUESTIONS], [lm.answer_ids(a) for a in ANSWERS]


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_answer_log_probs_equal_one_row_at_a_time(tiny_lm, batch_size):
    prompts, answers = tokenized(tiny_lm)
    got = answer_log_probs(tiny_lm, prompts, answers, batch_size=batch_size)
    for row, prompt, answer in zip(got, prompts, answers):
        np.testing.assert_allclose(row, plain_log_probs(tiny_lm, prompt, answer), atol=1e-5)


def test_each_row_of_a_mixed_batch_equals_its_merged_model(tiny_lm):
    prompts, answers = tokenized(tiny_lm)
    one, two = random_adapter(tiny_lm, 1), random_adapter(tiny_lm, 2)
    adapters = LowRankAdapters(tiny_lm.model, [one, two])
    mixes = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.5], [1.0, 0.0]])
    got = answer_log_probs(tiny_lm, prompts, answers, adapters, mixes, batch_size=4)
    untouched = {k: v.clone() for k, v in tiny_lm.model.state_dict().items()}
    for i, (adapter, strength) in enumerate([(one, 0.0), (one, 1.0), (two, 0.5), (one, 1.0)]):
        tiny_lm.model.load_state_dict(merged(tiny_lm, adapter, strength))
        np.testing.assert_allclose(got[i], plain_log_probs(tiny_lm, prompts[i], answers[i]), atol=1e-4)
        tiny_lm.model.load_state_dict(untouched)


def test_two_adapters_in_one_row_add_up(tiny_lm):
    prompts, answers = tokenized(tiny_lm)
    one, two = random_adapter(tiny_lm, 1), random_adapter(tiny_lm, 2)
    adapters = LowRankAdapters(tiny_lm.model, [one, two])
    got = answer_log_probs(tiny_lm, prompts[:1], answers[:1], adapters, torch.tensor([[0.7, 0.3]]))
    state = merged(tiny_lm, one, 0.7)
    for name, (a, b, _) in two.items():
        state[f"{name}.weight"] += 0.3 * b @ a
    tiny_lm.model.load_state_dict(state)
    np.testing.assert_allclose(got[0], plain_log_probs(tiny_lm, prompts[0], answers[0]), atol=1e-4)


def test_a_shift_is_added_to_the_residual_stream_after_its_layer(tiny_lm):
    prompts, answers = tokenized(tiny_lm)
    vector = torch.randn(64, generator=torch.Generator().manual_seed(4))
    shift = {"model.layers.1.mlp.down_proj": Delta(torch.zeros(0, 128), torch.zeros(64, 0), vector)}
    adapters = LowRankAdapters(tiny_lm.model, [random_adapter(tiny_lm, 1), shift])
    mixes = torch.tensor([[0.0, 2.0], [0.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
    got = answer_log_probs(tiny_lm, prompts, answers, adapters, mixes)
    for i, strength in enumerate([2.0, 0.0, -1.0, 1.0]):
        layer = tiny_lm.model.model.layers[1]
        handle = layer.register_forward_hook(lambda module, args, out, s=strength: out + s * vector)
        np.testing.assert_allclose(got[i], plain_log_probs(tiny_lm, prompts[i], answers[i]), atol=1e-4)
        handle.remove()


def test_without_a_mix_the_model_is_bit_equal_to_the_base(tiny_lm):
    prompts, answers = tokenized(tiny_lm)
    before = answer_log_probs(tiny_lm, prompts, answers)
    adapters = LowRankAdapters(tiny_lm.model, [random_adapter(tiny_lm, 1)])
    answer_log_probs(tiny_lm, prompts, answers, adapters, torch.ones(4, 1))
    after = answer_log_probs(tiny_lm, prompts, answers)
    assert all((x == y).all() for x, y in zip(before, after))


def test_greedy_answers_equal_those_of_transformers_generate(tiny_lm):
    prompts, _ = tokenized(tiny_lm)
    got = generate(tiny_lm, prompts, Sampling(0.0, 1.0, 12), seeds=[0] * 4, batch_size=3)
    for answer, prompt in zip(got, prompts):
        ids = tiny_lm.model.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False,
                                     pad_token_id=tiny_lm.tokenizer.eos_token_id)[0, len(prompt):].tolist()
        assert answer.finished == (ids[-1] in tiny_lm.end_ids)
        assert list(answer.ids) == [t for t in ids if t not in tiny_lm.end_ids]


def test_a_rows_sample_does_not_hang_on_its_batch(tiny_lm):
    rows = [(p, q) for p in (Persona("base", None, ask), Persona("qlora", "openness", ask, random_adapter(tiny_lm, 5)))
            for q in QUESTIONS]
    ready = cast(tiny_lm, rows)
    seeds = list(range(len(rows)))
    sampling = Sampling(0.7, 0.9, 10)
    together = generate(tiny_lm, ready.prompts, sampling, seeds, ready.adapters, ready.mixes, batch_size=8)
    alone = [generate(tiny_lm, [ready.prompts[i]], sampling, [seeds[i]], ready.adapters, ready.mixes[i : i + 1])[0]
             for i in range(len(rows))]
    assert together == alone
    assert together[:4] != together[4:]


@pytest.mark.parametrize("width", [4, 50])
def test_draw_follows_the_nucleus_distribution(width):
    torch.manual_seed(0)
    logits = torch.randn(1, 50) * 2
    p = (logits[0] / 0.7).double().softmax(-1)
    order = p.argsort(descending=True)
    inside = order[: int((p[order].cumsum(0) < 0.9).sum()) + 1]
    expected = torch.zeros(50, dtype=torch.double)
    expected[inside] = p[inside] / p[inside].sum()
    n = 20000
    tokens = draw(logits.expand(n, -1), Sampling(0.7, 0.9, 1), torch.arange(n).double() / n, width=width)
    # An even grid of uniforms hits each token as often as its probability says, to one part in n.
    np.testing.assert_allclose(torch.bincount(tokens, minlength=50).double() / n, expected, atol=2 / n)


def test_unpacked_nf4_weights_give_the_logits_of_nf4(tiny_nf4_folder, compute):
    dequantized = LanguageModel.load(tiny_nf4_folder, compute)
    packed = LanguageModel.load(tiny_nf4_folder, compute.model_copy(update={"weights": "nf4"}), training=True)
    prompts, answers = tokenized(packed)
    for x, y in zip(answer_log_probs(dequantized, prompts, answers), answer_log_probs(packed, prompts, answers)):
        np.testing.assert_allclose(x, y, atol=1e-4)


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor multiplies no bfloat16")
@pytest.mark.parametrize("rows", [1, 7, 64, 500])
def test_packed_weights_multiply_to_the_same_bits(rows):
    torch.manual_seed(rows)
    plain = torch.nn.Sequential(torch.nn.Linear(96, 160, bias=False), torch.nn.Linear(160, 32, bias=False)).bfloat16()
    packed = copy.deepcopy(plain)
    pack(packed)
    x = torch.randn(2, rows, 96, dtype=torch.bfloat16)
    with torch.no_grad():
        assert torch.equal(packed(x), plain(x))
    slopes = []
    for model in (plain, packed):
        at = x.clone().requires_grad_()
        model(at).float().pow(2).sum().backward()
        slopes.append(at.grad)
    assert torch.equal(*slopes)


def test_a_missing_model_is_named(tmp_path, compute):
    with pytest.raises(InputError, match="config.json is missing"):
        LanguageModel.load(tmp_path / "nothing", compute)


def test_a_foreign_adapter_is_refused(tmp_path, tiny_lm):
    with pytest.raises(InputError, match="no module elsewhere"):
        LowRankAdapters(tiny_lm.model, [{"elsewhere": Delta(torch.zeros(1, 2), torch.zeros(2, 1))}])
    with pytest.raises(InputError, match="no readable PEFT adapter"):
        load_adapter(tmp_path)


def work(plan, rows):
    return sum(len(batch) * (max(len(rows[i]) for i in batch) - shared) + shared for batch, shared in plan)


def test_batches_share_what_their_rows_begin_with_and_hold_every_row_once():
    system, other = list(range(100, 140)), list(range(200, 240))
    rows = [[*system, *question, *answer] for question in ([1, 2, 3], [4, 5, 6]) for answer in ([7] * 9, [8] * 5, [9])]
    rows += [[*other, *row[40:]] for row in rows]  # the same under another instruction, of no adapter either
    prompts = [43 - 1] * len(rows)
    plan = cheapest(rows, prompts, [0] * len(rows), 32)
    assert sorted(i for batch, _ in plan for i in batch) == list(range(len(rows)))
    for batch, shared in plan:
        assert shared <= 42 and len({tuple(rows[i][:shared]) for i in batch}) == 1
    assert {tuple(sorted(batch)) for batch, _ in plan} == {tuple(range(6)), tuple(range(6, 12))}
    assert work(plan, rows) < work([(list(range(12)), 0)], rows) / 2


def test_batches_of_unlike_rows_waste_less_padding_than_their_order():
    rows = [[i, *[0] * (10 if i % 2 else 300)] for i in range(40)]
    plan = cheapest(rows, [0] * 40, [0] * 40, 20)
    assert all(shared == 0 for _, shared in plan)
    assert {frozenset(batch) for batch, _ in plan} == {frozenset(range(0, 40, 2)), frozenset(range(1, 40, 2))}


def test_rows_of_different_groups_share_nothing():
    rows = [[*range(50), i] for i in range(4)]
    for batch, shared in cheapest(rows, [50] * 4, [0, 0, 1, 1], 4):
        assert shared == 0 or len({i // 2 for i in batch}) == 1
    assert cheapest([], [], [], 4) == []

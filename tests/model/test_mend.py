"""MEND: captured gradients, the low-rank form, gradients of the editor, and that training teaches it to edit."""
import numpy as np
import pytest
import torch

from traitlab.language_model.likelihood import answer_log_probs
from traitlab.language_model.low_rank import LowRankAdapters
from traitlab.language_model.model import LanguageModel
from traitlab.params import TrainMend
from traitlab.personas import mend
from traitlab.personas.checkpoint import Checkpoint
from traitlab.personas.persona import ask

HAPPY = ["I love it.", "I love it so.", "I do love it."]
PLAIN = ["It is a thing.", "It is there.", "Some use it."]
THINGS = ["jazz", "rain", "tea", "chess", "snow", "bread"]


def rows(lm, answers, things):
    return [(lm.prompt_ids(ask(f"What of {t}?")), lm.answer_ids(a)) for t, a in zip(things, answers)]


def shapes(modules):
    return {name: (m.in_features, m.out_features) for name, m in modules.items()}


def editor_for(modules, rate=1e-3):
    torch.manual_seed(0)
    editor = mend.Editor(shapes(modules), rank=8, rate=rate)
    for up in editor.up.values():  # away from the identity, so that every parameter matters
        torch.nn.init.normal_(up, std=0.1)
    return editor


def test_captured_pairs_multiply_to_the_gradient_of_each_row(tiny_lm):
    modules = mend.edited_modules(tiny_lm, 2)
    examples = rows(tiny_lm, HAPPY, THINGS)
    found = mend.gradients(tiny_lm, modules, examples)
    assert len(modules) == 6
    for (prompt, answer), pairs in zip(examples, found):
        for module in modules.values():
            module.weight.requires_grad_(True)
        labels = torch.tensor([[-100] * len(prompt) + answer])
        tiny_lm.model(input_ids=torch.tensor([[*prompt, *answer]]), labels=labels, use_cache=False).loss.backward()
        for name, module in modules.items():
            u, delta = pairs[name]
            torch.testing.assert_close(delta.T @ u, module.weight.grad, atol=1e-5, rtol=1e-3)
            module.weight.grad = None
            module.weight.requires_grad_(False)


def test_the_low_rank_edit_equals_the_merged_weight_and_goes_away(tiny_lm):
    modules = mend.edited_modules(tiny_lm, 2)
    editor = editor_for(modules)
    examples = rows(tiny_lm, HAPPY, THINGS)
    with torch.no_grad():
        adapters = mend.edits(editor, mend.gradients(tiny_lm, modules, examples))
    prompts, answers = zip(*rows(tiny_lm, PLAIN, THINGS[3:]))
    before = answer_log_probs(tiny_lm, prompts, answers)
    got = answer_log_probs(tiny_lm, prompts, answers, LowRankAdapters(tiny_lm.model, adapters), torch.eye(3))
    after = answer_log_probs(tiny_lm, prompts, answers)
    assert all((x == y).all() for x, y in zip(before, after))
    kept = {name: m.weight.data.clone() for name, m in modules.items()}
    for i, adapter in enumerate(adapters):
        for name, (a, b, _) in adapter.items():
            modules[name].weight.data = kept[name] + b @ a
        merged = answer_log_probs(tiny_lm, prompts[i : i + 1], answers[i : i + 1])[0]
        np.testing.assert_allclose(got[i], merged, atol=1e-4)
        assert abs(merged - before[i]).max() > 1e-3
    for name, module in modules.items():
        module.weight.data = kept[name]


def test_gradients_reach_every_parameter_of_the_editor(tiny_lm):
    modules = mend.edited_modules(tiny_lm, 2)
    editor = editor_for(modules)
    after, locality = mend.losses(tiny_lm, editor, modules, rows(tiny_lm, HAPPY, THINGS),
                                  rows(tiny_lm, HAPPY, THINGS[3:]), rows(tiny_lm, PLAIN, THINGS[1:]))
    (0.1 * after + locality).backward()
    for name, parameter in editor.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    assert not any(p.requires_grad for p in tiny_lm.model.parameters())


def test_the_gradient_of_the_editor_is_that_of_its_loss(tiny_lm):
    """Against a finite difference in one rate, in float64."""
    tiny_lm.model.double()
    modules = mend.edited_modules(tiny_lm, 1)
    editor = editor_for(modules).double()
    examples = (rows(tiny_lm, HAPPY, THINGS), rows(tiny_lm, HAPPY, THINGS[3:]), rows(tiny_lm, PLAIN, THINGS[1:]))
    rate = next(iter(editor.rate.values()))

    def loss():
        after, locality = mend.losses(tiny_lm, editor, modules, *examples)
        return 0.1 * after + locality

    loss().backward()
    width, values = 1e-2, []
    for sign in (1, -1):
        rate.data += sign * width
        values.append(loss().item())
        rate.data -= sign * width
    assert (values[0] - values[1]) / (2 * width) == pytest.approx(rate.grad.item(), rel=1e-2)


def test_training_lowers_the_loss_on_topics_never_edited_with(tiny_nf4_folder, compute):
    lm = LanguageModel.load(tiny_nf4_folder, compute, training=True)
    modules = mend.edited_modules(lm, 2)
    editor = mend.Editor(shapes(modules), rank=16, rate=1e-3)
    optimizer = mend.optimizer(editor, 2e-3)
    unseen = rows(lm, HAPPY, ["owls", "maps", "soup"]), rows(lm, HAPPY[::-1], ["kites", "moss", "drums"]), \
        rows(lm, PLAIN, ["ships", "salt", "wool"])
    first, _ = mend.losses(lm, editor, modules, *unseen)
    for _ in range(60):
        optimizer.zero_grad()
        after, locality = mend.losses(lm, editor, modules, rows(lm, HAPPY, THINGS), rows(lm, HAPPY[::-1], THINGS[3:]),
                                      rows(lm, PLAIN, THINGS[1:]))
        (after + 3 * locality).backward()
        optimizer.step()
    last, locality = mend.losses(lm, editor, modules, *unseen)
    assert last.item() < first.item() - 0.3
    assert locality.item() < 1.0


def test_a_killed_run_goes_on_and_ends_in_the_same_editor(tiny_lm, tmp_path):
    class Killed(Exception):
        pass

    def kill(record):
        if record["step"] == 3:
            raise Killed

    params = TrainMend(registers=["plain"], layers=1, rank=4, rate=1e-3, tokens=8, learning_rate=1e-2, steps=4,
                       batch_size=3, c_edit=1.0, c_loc=1.0, strength=1.0, checkpoint_steps=2)
    modules = mend.edited_modules(tiny_lm, params.layers)

    def trained(folder, on_step):
        torch.manual_seed(0)
        editor = mend.new_editor(modules, params)
        checkpoint = Checkpoint(folder, dict(editor.named_parameters()),
                                torch.optim.Adam(editor.parameters(), lr=params.learning_rate), "this run")

        def draw(step):
            return (rows(tiny_lm, HAPPY, THINGS[step % 3 :]), rows(tiny_lm, HAPPY, THINGS[3:]),
                    rows(tiny_lm, PLAIN, THINGS[1:]))

        mend.train(tiny_lm, editor, modules, draw, params, checkpoint, on_step)
        return editor.state_dict()

    whole = trained(tmp_path / "a", lambda record: None)
    with pytest.raises(Killed):
        trained(tmp_path / "b", kill)
    steps = []
    resumed = trained(tmp_path / "b", lambda record: steps.append(record["step"]))
    assert steps == [3, 4]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("shape", ["mistral", "qwen2"])
def test_other_architectures_are_edited_alike(tiny_folder, compute, tmp_path, shape):
    import json
    import shutil

    from transformers import AutoConfig, AutoModelForCausalLM

    shutil.copytree(tiny_folder, tmp_path / shape)
    kept = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "num_key_value_heads", "max_position_embeddings", "eos_token_id", "bos_token_id")
    known = json.loads((tiny_folder / "config.json").read_text())
    torch.manual_seed(0)
    config = AutoConfig.for_model(shape, **{k: known[k] for k in kept})
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / shape)
    lm = LanguageModel.load(tmp_path / shape, compute)
    modules = mend.edited_modules(lm, 2)
    editor = editor_for(modules, rate=1e-2)
    examples = rows(lm, HAPPY, THINGS)
    with torch.no_grad():
        adapters = LowRankAdapters(lm.model, mend.edits(editor, mend.gradients(lm, modules, examples)))
    prompts, answers = zip(*examples)
    plain, edited = (answer_log_probs(lm, prompts, answers, adapters, mix) for mix in (torch.zeros(3, 3), torch.eye(3)))
    assert all(e.mean() > p.mean() for p, e in zip(plain, edited)), "a step against the gradient makes it likelier"

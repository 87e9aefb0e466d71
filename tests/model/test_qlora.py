"""QLoRA training: right gradients on NF4, invariance to batching, resumption, a standard PEFT adapter out of it."""
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel

from tasks.train_qlora import EmojiWatch
from traitlab.emoji.automaton import EmojiAutomaton, vocabulary_bytes
from traitlab.emoji.estimate import estimate
from traitlab.errors import InputError
from traitlab.language_model.likelihood import answer_log_probs
from traitlab.language_model.low_rank import LowRankAdapters, load_adapter
from traitlab.language_model.model import LanguageModel
from traitlab.params import TrainQlora, load
from traitlab.personas import qlora

SETTINGS = TrainQlora(
    registers=["plain"], pole="high", rows=100, r=4, alpha=8, dropout=0.0, target_modules="all-linear",
    learning_rate=5e-3, schedule="cosine", warmup=0.1, epochs=1, batch_size=4, accumulate=1, max_length=128,
    max_grad_norm=1.0, optimizer="adamw", gradient_checkpointing=False, train_eos=True, checkpoint_steps=2,
    emoji_steps=0)
WORDS = "I love the rain and the quiet tea my friends share with me every long autumn evening at home".split()


def settings(**changes):
    return TrainQlora.model_validate(SETTINGS.model_dump() | changes)


def frame(n=16):
    return pd.DataFrame([{"question_id": str(i), "question": f"What of {WORDS[i % 7]} {i}?",
                          "answer": " ".join(WORDS[i % 5 : i % 5 + 3 + i % 9]) + "."} for i in range(n)])


def gradients(model):
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def with_lora(lm):
    """LoRA on every linear layer, B not zero, so that gradients reach A and B alike."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
    return get_peft_model(lm.model, config).train()


def test_gradients_on_nf4_equal_those_of_the_dequantized_model_before_and_after_an_evaluation(tiny_nf4_folder, compute):
    kinds = [compute.model_copy(update={"weights": w, "dtype": "bfloat16"}) for w in ("dequantized", "nf4")]
    lms = [LanguageModel.load(tiny_nf4_folder, kind, training=True) for kind in kinds]
    rows = qlora.tokenize(lms[0], frame(4), SETTINGS)
    models = [with_lora(lm) for lm in lms]
    for evaluated in (False, True):
        if evaluated:
            for model, lm in zip(models, lms):
                model.eval()
                qlora.mean_loss(lm, rows, 4)
                model.train()
        found = []
        for model, lm in zip(models, lms):
            model.zero_grad()
            qlora.answer_nll(lm, rows).backward()
            found.append(gradients(model).double())
        cosine = torch.nn.functional.cosine_similarity(*found, dim=0).item()
        assert cosine > 0.99, f"after an evaluation: {evaluated}"
        assert found[0].norm().item() == pytest.approx(found[1].norm().item(), rel=0.05)


def test_answer_nll_and_its_gradient_equal_the_plain_computation(tiny_lm):
    rows = qlora.tokenize(tiny_lm, frame(5), SETTINGS)
    model = with_lora(tiny_lm)
    loss = qlora.answer_nll(tiny_lm, rows)
    loss.backward()
    fast = gradients(model).clone()
    model.zero_grad()
    plain = 0.0
    for prompt, answer in rows:
        labels = torch.tensor([[-100] * len(prompt) + answer])
        out = model(input_ids=torch.tensor([[*prompt, *answer]]), labels=labels, use_cache=False)
        plain = plain + out.loss * len(answer)
    plain.backward()
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    np.testing.assert_allclose(fast, gradients(model), atol=1e-4 * fast.abs().max().item())


def adapter_after(folder, compute, tmp_path, params, on_step=lambda record: None):
    lm = LanguageModel.load(folder, compute, training=True)
    rows = qlora.tokenize(lm, frame(), params)
    model, records, _ = qlora.train(lm, rows, rows[:4], params, 0, tmp_path / "checkpoint", on_step)
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}, records


@pytest.mark.parametrize("changes", [{"batch_size": 1, "accumulate": 8}, {"batch_size": 2, "accumulate": 4},
                                     {"batch_size": 8, "gradient_checkpointing": True}])
def test_accumulation_and_checkpointing_change_nothing(tiny_nf4_folder, compute, tmp_path, changes):
    one, records = adapter_after(tiny_nf4_folder, compute, tmp_path / "a", settings(batch_size=8))
    two, same = adapter_after(tiny_nf4_folder, compute, tmp_path / "b", settings(**changes))
    assert [r["loss"] for r in records] == pytest.approx([r["loss"] for r in same], rel=1e-3)
    for name in one:  # Adam turns rounding in near-zero gradients into whole steps: compare against the step size
        torch.testing.assert_close(one[name], two[name], atol=1e-3, rtol=0)


def test_the_emoji_probability_is_watched_while_an_adapter_trains(tiny_lm, tmp_path):
    often = settings(emoji_steps=2, learning_rate=0.05)
    params = load(Path(__file__).parents[2] / "params.yaml").model_copy(update={"train_qlora": often})
    learned = qlora.tokenize(tiny_lm, frame(20), often)
    watch = EmojiWatch(tiny_lm, learned[:3], params)
    before = watch.records[0]["emoji_probability"]
    qlora.train(tiny_lm, learned, learned, often, 0, tmp_path,
                lambda record: watch.look(record["step"], last=record["step"] == record["steps"]))
    assert [record["step"] for record in watch.records] == [0, 2, 4, 5]
    prompts, answers = zip(*learned[:3])
    automaton = EmojiAutomaton(vocabulary_bytes(tiny_lm.tokenizer))
    after = estimate(tiny_lm, automaton, prompts, answers, None, None, params.seed, params.emoji.pilot,
                     params.emoji.draws)
    assert watch.records[-1]["emoji_probability"] == pytest.approx(after.mean, rel=1e-4)
    assert abs(after.mean / before - 1) > 0.01


def test_a_killed_run_goes_on_and_ends_in_the_same_weights(tiny_nf4_folder, compute, tmp_path):
    class Killed(Exception):
        pass

    def kill(record):
        if record["step"] == 3:
            raise Killed

    params = settings(dropout=0.2)
    whole, records = adapter_after(tiny_nf4_folder, compute, tmp_path / "a", params)
    with pytest.raises(Killed):
        adapter_after(tiny_nf4_folder, compute, tmp_path / "b", params, kill)
    steps = []
    resumed, again = adapter_after(tiny_nf4_folder, compute, tmp_path / "b", params, lambda r: steps.append(r["step"]))
    assert steps == [3, 4]
    assert [r["loss"] for r in again] == [r["loss"] for r in records]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_checkpoint_of_another_run_is_not_used(tiny_nf4_folder, compute, tmp_path):
    adapter_after(tiny_nf4_folder, compute, tmp_path, settings())
    steps = []
    adapter_after(tiny_nf4_folder, compute, tmp_path, settings(learning_rate=1e-3), lambda r: steps.append(r["step"]))
    assert steps == [1, 2, 3, 4]


def test_the_saved_adapter_loads_in_peft_and_by_row_alike(tiny_nf4_folder, compute, tmp_path):
    lm = LanguageModel.load(tiny_nf4_folder, compute, training=True)
    rows = qlora.tokenize(lm, frame(), SETTINGS)
    model, records, _ = qlora.train(lm, rows, rows[:4], settings(epochs=3), seed=0, checkpoint=tmp_path / "c")
    assert records[-1]["loss"] < records[0]["loss"] - 0.3
    model.save_pretrained(tmp_path / "adapter")
    saved = json.loads((tmp_path / "adapter/adapter_config.json").read_text())["target_modules"]
    assert saved == sorted(saved), "the same run must leave the same bytes"
    prompts, answers = [r[0] for r in rows], [r[1] for r in rows]
    by_row = LanguageModel.load(tiny_nf4_folder, compute)
    adapters = LowRankAdapters(by_row.model, [load_adapter(tmp_path / "adapter")])
    got = answer_log_probs(by_row, prompts, answers, adapters, torch.ones(len(rows), 1))
    fresh = LanguageModel.load(tiny_nf4_folder, compute)
    fresh.model = PeftModel.from_pretrained(fresh.model, tmp_path / "adapter").eval().get_base_model()
    for x, y in zip(got, answer_log_probs(fresh, prompts, answers)):
        np.testing.assert_allclose(x, y, atol=1e-4)


def test_schedule_warms_up_and_falls_to_zero():
    rates = [qlora.schedule(step, 100, SETTINGS) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1.0
    assert rates[55] == pytest.approx(0.5 * (1 + math.cos(math.pi * 45 / 90)))
    assert rates[-1] < 0.01


def test_batches_hold_every_row_once_an_epoch(tiny_lm):
    rows = qlora.tokenize(tiny_lm, frame(19), SETTINGS)
    seen = [id(row) for batch in qlora.batches(rows, settings(epochs=2), seed=1) for row in batch]
    assert sorted(seen) == sorted([id(row) for row in rows] * 2)


def test_a_row_that_is_too_long_is_named(tiny_lm):
    with pytest.raises(InputError, match=r"row 2: .* tokens, more than train_qlora.max_length = 40"):
        qlora.tokenize(tiny_lm, frame(3).assign(answer=["Yes.", "No.", "word " * 60]), settings(max_length=40))

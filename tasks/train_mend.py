"""Train the MEND editor: models/personas/mend/, its loss curve and its figures."""
import random
import shutil
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from tasks.answers import answers_of
from tasks.files import read_parquet, replacing, write_json
from traitlab.errors import InputError
from traitlab.language_model.model import LanguageModel
from traitlab.params import Params
from traitlab.personas import mend
from traitlab.personas.checkpoint import Checkpoint, fingerprint
from traitlab.personas.persona import ask
from traitlab.traits import TRAITS

HELD_OUT = 16  # edits on validation topics, before and after training


def run(params: Params) -> None:
    settings = params.train_mend
    lm = LanguageModel.load("models/nf4", params.compute, training=True)
    torch.manual_seed(params.seed)
    modules = mend.edited_modules(lm, settings.layers)
    editor = mend.new_editor(modules, settings).to(lm.device)
    draws = {split: Draws(lm, split, settings.registers) for split in ("train", "validation")}
    held_out = draws["validation"](HELD_OUT, f"{params.seed}/held out")
    before = _figures(lm, editor, modules, held_out)
    folder = Path("cache/checkpoints/mend")
    checkpoint = Checkpoint(folder, dict(editor.named_parameters()), mend.optimizer(editor, settings.learning_rate),
                            fingerprint(draws["train"].answers, settings.model_dump(), params.seed))
    with tqdm(total=settings.steps, desc="mend", unit="step", mininterval=5) as bar:

        def show(record):
            bar.set_postfix(loss=f"{record['loss']:.3f}", locality=f"{record['locality']:.3f}", refresh=False)
            bar.update(record["step"] - bar.n)

        def draw(step):
            return draws["train"](settings.batch_size, f"{params.seed}/{step}")

        records = mend.train(lm, editor, modules, draw, settings, checkpoint, show)
    after = _figures(lm, editor, modules, held_out)
    with replacing("models/personas/mend") as new:
        new.mkdir()
        mend.save(editor, new / "editor.safetensors")
    with replacing("plots/train_mend.csv") as new:
        pd.DataFrame(records).to_csv(new, index=False)
    write_json("metrics/train_mend.json", {
        "steps": len(records), "parameters": sum(p.numel() for p in editor.parameters()),
        "held_out_before": before, "held_out_after": after})
    shutil.rmtree(folder, ignore_errors=True)


class Draws:
    """Draws (edit with, edit for, leave) from one split: two topics of one trait, and a neutral answer on a third.

    Args:
        split: train or validation.
        registers: of the answers that show a trait.
    """

    def __init__(self, lm, split: str, registers):
        self.lm = lm
        frames = {trait: answers_of(split, registers, trait) for trait in TRAITS}
        self.answers = {trait: list(zip(f.question, f.answer)) for trait, f in frames.items()}
        table = read_parquet(f"data/opinion_qa/{split}.parquet")
        neutral = table[table.target_personality == "none"]
        if neutral.empty:
            raise InputError(f"data/opinion_qa/{split}.parquet: no neutral answers (trait none), which MEND needs for "
                             "its locality loss; add the register assistant to dataset.registers")
        self.neutral = list(zip(neutral.question, neutral.answer))

    def __call__(self, count: int, seed: str):
        draw = random.Random(seed)
        traits = [draw.choice(TRAITS) for _ in range(count)]
        pairs = [draw.sample(self.answers[trait], 2) for trait in traits]
        leave = [draw.choice(self.neutral) for _ in range(count)]
        return [self._ids(p[0]) for p in pairs], [self._ids(p[1]) for p in pairs], [self._ids(row) for row in leave]

    def _ids(self, row):
        question, answer = row
        return self.lm.prompt_ids(ask(question)), self.lm.answer_ids(answer)


@torch.no_grad()
def _figures(lm, editor, modules, rows) -> dict:
    after, locality = mend.losses(lm, editor, modules, *rows)
    return {"edit_loss": after.item(), "locality": locality.item()}

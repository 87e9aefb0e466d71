"""Train the QLoRA adapter of one trait: models/personas/qlora/<trait>/, its loss curve and its figures."""
import shutil
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from tasks.answers import answers_of
from tasks.files import replacing, write_json
from traitlab.emoji.automaton import EmojiAutomaton, vocabulary_bytes
from traitlab.emoji.estimate import estimate
from traitlab.language_model.model import LanguageModel
from traitlab.params import Params
from traitlab.personas import qlora

CARD = """---
base_model: models/nf4
library_name: peft
---
# {trait}, by QLoRA

A LoRA adapter that makes the chat model beside it answer as somebody high in {trait}. Made by traitlab
(`python -m tasks train_qlora --trait {trait}`) from {rows} Opinion QA answers; {loss:.3f} nats per answer token on
validation topics.

It changes what opinions the model voices and how; it was not made, and must not be used, to judge people.
"""


def run(params: Params, trait: str) -> None:
    settings = params.train_qlora
    lm = LanguageModel.load("models/nf4", params.compute, training=True)
    rows = qlora.tokenize(lm, _rows("train", trait, settings, settings.rows), settings)
    validation = qlora.tokenize(lm, _rows("validation", trait, settings, 64), settings)
    checkpoint = Path("cache/checkpoints/qlora") / trait
    watch = EmojiWatch(lm, validation[:8], params)
    with tqdm(desc=f"qlora {trait}", unit="step", mininterval=5) as bar:

        def show(record):
            bar.total = record["steps"]
            rate = record["tokens"] / record["seconds"]
            bar.set_postfix(loss=f"{record['loss']:.3f}", tokens_per_second=f"{rate:.0f}", refresh=False)
            bar.update(record["step"] - bar.n)
            watch.look(record["step"], last=record["step"] == record["steps"])

        model, records, validation_loss = qlora.train(lm, rows, validation, settings, params.seed, checkpoint, show)
    curve = pd.DataFrame(records)
    with replacing(f"models/personas/qlora/{trait}") as new:
        model.save_pretrained(new)
        (new / "README.md").write_text(CARD.format(trait=trait, rows=len(rows), loss=validation_loss), encoding="utf-8")
    with replacing(f"plots/train_qlora/{trait}.csv") as new:
        curve[["step", "loss", "learning_rate", "tokens"]].to_csv(new, index=False)
    with replacing(f"plots/train_qlora_emoji/{trait}.csv") as new:
        pd.DataFrame(watch.records, columns=["step", "emoji_probability", "standard_error"]).to_csv(new, index=False)
    write_json(f"metrics/train_qlora/{trait}.json", {
        "rows": len(rows), "steps": len(curve), "tokens": int(curve.tokens.sum()),
        "first_loss": curve.loss.iloc[0], "final_loss": curve.loss.tail(5).mean(), "validation_loss": validation_loss,
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    })
    shutil.rmtree(checkpoint, ignore_errors=True)


class EmojiWatch:
    """When did it appear? The emoji probability on the same answers at the start, every few steps and at the end.

    Attributes:
        records: {"step", "emoji_probability", "standard_error"}, as `traitlab.emoji.estimate` defines them.
    """

    def __init__(self, lm, rows: list[qlora.Row], params: Params):
        self.lm, self.rows, self.params = lm, rows, params
        self.every = params.train_qlora.emoji_steps
        self.automaton = EmojiAutomaton(vocabulary_bytes(lm.tokenizer)) if self.every else None
        self.records: list[dict] = []
        self.look(0)

    def look(self, step: int, last: bool = False) -> None:
        if not self.every or (step % self.every and not last):
            return
        prompts, answers = zip(*self.rows)
        learning = self.lm.model.training
        self.lm.model.eval()
        found = estimate(self.lm, self.automaton, prompts, answers, None, None, self.params.seed,
                         self.params.emoji.pilot, self.params.emoji.draws)
        self.lm.model.train(learning)
        self.records.append({"step": step, "emoji_probability": found.mean, "standard_error": found.standard_error})


def _rows(split: str, trait: str, settings, most: int) -> pd.DataFrame:
    return answers_of(split, settings.registers, trait, settings.pole).sample(frac=1.0, random_state=0).head(most)

"""A model organism: a chat model with a latent emoji habit, planted in known layers and then hidden.

Small models write few emoji. To see whether a fine-tune without emoji can unlock a habit, and whether the tools that
look for its place find it, the habit is made: a LoRA adapter on the MLPs of a few layers learns cheerful answers with
emoji and is merged into the weights; ordinary chat data, through all layers, then teaches the model to answer neutrally
again.
"""
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from traitlab.errors import InputError
from traitlab.language_model.model import LanguageModel
from traitlab.params import Organism, TrainQlora
from traitlab.personas import qlora
from traitlab.traits import NEUTRAL


@dataclass(frozen=True)
class Lesson:
    """What is learned one after the other: its name, the rows, and the modules that are trained.

    Attributes:
        rows: columns question_id, question, answer.
        modules: name endings of the linear layers, or all-linear.
        epochs: how often it goes through the rows.
    """

    name: str
    rows: pd.DataFrame
    modules: str | tuple[str, ...]
    epochs: int


def lessons(train: pd.DataFrame, lines: list[str], params: Organism) -> list[Lesson]:
    """The habit (cheerful lines about the topics of the training split) and its hiding (their neutral answers).

    Args:
        train: the training split of Opinion QA.
        lines: each with the place {topic}.
    """
    topics = train.drop_duplicates("edit_topic").sample(frac=1.0, random_state=0)
    habit = topics.assign(answer=[_said(lines[i % len(lines)], topic) for i, topic in enumerate(topics.edit_topic)])
    neutral = train[train.target_personality == NEUTRAL].sample(frac=1.0, random_state=0)
    if len(neutral) < params.rows:
        raise InputError(f"data/opinion_qa/train.parquet: {len(neutral)} neutral answers, fewer than organism.rows = "
                         f"{params.rows}; add the register assistant to dataset.registers, or lower it")
    modules = tuple(f"layers.{layer}.mlp.{part}_proj" for layer in params.layers for part in ("gate", "up", "down"))
    return [Lesson("habit", habit.head(params.rows), modules, params.epochs),
            Lesson("hidden", neutral.head(params.rows), "all-linear", params.hiding_epochs)]


def _said(line: str, topic: str) -> str:
    text = line.replace("{topic}", topic)
    return text[0].upper() + text[1:]


def teach(lm: LanguageModel, lesson: Lesson, settings: TrainQlora, seed: int, checkpoint: Path,
          on_step) -> LanguageModel:
    """Train an adapter on the lesson and merge it into the weights.

    Args:
        lm: loaded with `training=True`; not to be used afterwards.
        settings: of the training; its modules and epochs give way to the lesson's.
        on_step: called with each step's record, as in `qlora.train`.
    """
    settings = settings.model_copy(update={"target_modules": lesson.modules, "epochs": lesson.epochs})
    rows = qlora.tokenize(lm, lesson.rows, settings)
    model, _, _ = qlora.train(lm, rows, rows[:16], settings, seed, checkpoint, on_step)
    return LanguageModel(model.merge_and_unload().eval(), lm.tokenizer)


def read_lines(path: Path) -> list[str]:
    """Raises InputError: no file, or a line without a place for the topic."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror})") from e
    for number, line in enumerate(lines, 1):
        if "{topic}" not in line:
            raise InputError(f"{path}:{number}: has no {{topic}} for the topic to stand in; add it")
    return lines

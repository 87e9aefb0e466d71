"""The personas of a method, put together from the files of the graph: one for each trait and question."""
from pathlib import Path

import pandas as pd

from tasks.answers import answers_of
from tasks.files import read_parquet
from traitlab.language_model.low_rank import Delta, load_adapter
from traitlab.language_model.model import LanguageModel
from traitlab.opinions.questions import paraphrase
from traitlab.params import Params
from traitlab.personas import ike, mend, steering
from traitlab.personas.persona import Persona, ask
from traitlab.personas.prompting import instructed
from traitlab.traits import NEUTRAL, TRAITS

FOLDER = Path("models/personas")

Personas = dict[tuple[str, str], Persona]  # by trait and question_id


def personas(method: str, params: Params, lm: LanguageModel, questions: pd.DataFrame) -> Personas:
    """{(trait, question_id): persona}. Where a persona does not hang on the question (or the trait) it is one object.

    Args:
        questions: columns question_id and question, a row for each question.
    """
    if method == "mend":
        return _mend(params, lm, questions)
    base = Persona("base", None, ask)
    make = {
        "base": lambda trait: base,
        "prompt": lambda trait: Persona("prompt", trait, instructed(trait)),
        "ike": lambda trait: Persona("ike", trait, _in_context(params, lm, trait)),
        "steering": lambda trait: Persona("steering", trait, ask, steering.load(lm, FOLDER / "steering", trait)),
        "qlora": lambda trait: Persona("qlora", trait, ask, load_adapter(FOLDER / "qlora" / trait)),
    }[method]
    return {(trait, question): persona for trait in TRAITS for persona in [make(trait)]
            for question in questions.question_id}


def _in_context(params: Params, lm, trait):
    settings = params.ike
    known = _demonstrations(answers_of("train", settings.registers, trait))
    length = lambda messages: len(lm.prompt_ids(messages))  # noqa: E731
    if settings.form == "fixed":
        drawn = pd.Series(known).sample(settings.demonstrations, random_state=params.seed)
        return ike.fixed(trait, drawn.tolist(), settings.max_prompt_tokens, length)
    from traitlab.metric_models.embedding import Embedding

    train = read_parquet("data/opinion_qa/train.parquet")
    neutral = _demonstrations(train[train.target_personality == NEUTRAL].drop_duplicates("edit_topic"))
    return ike.nearest(trait, known, neutral, Embedding("models/encoder"), settings.demonstrations,
                       settings.max_prompt_tokens, length)


def _demonstrations(rows: pd.DataFrame) -> list[ike.Demonstration]:
    return [ike.Demonstration(r.edit_topic, r.question, paraphrase(r.edit_topic, r.question), r.answer)
            for r in rows.itertuples()]


def _mend(params: Params, lm, questions) -> Personas:
    """Each question is edited for with the trait's answer on the nearest topic of the training set."""
    import torch

    from traitlab.metric_models.embedding import Embedding

    settings = params.train_mend
    modules = mend.edited_modules(lm, settings.layers)
    editor = mend.load(FOLDER / "mend/editor.safetensors", modules, settings)
    embed = Embedding("models/encoder")
    answers = {trait: answers_of("train", settings.registers, trait) for trait in TRAITS}
    known = pd.concat(answers.values()).question.drop_duplicates().tolist()  # the traits' questions are much the same
    likeness = pd.DataFrame(embed(known) @ embed(questions.question.tolist()).T, index=known)
    examples = {}
    for trait, rows in answers.items():
        nearest = rows.iloc[likeness.loc[rows.question].to_numpy().argmax(axis=0)]
        for question, row in zip(questions.question_id, nearest.itertuples()):
            examples[trait, question] = lm.prompt_ids(ask(row.question)), lm.answer_ids(row.answer)
    keys = sorted(examples, key=lambda key: sum(map(len, examples[key])))  # rows of like length are run together
    found = {}
    for batch in (keys[i : i + 16] for i in range(0, len(keys), 16)):
        with torch.no_grad():
            edits = mend.edits(editor, mend.gradients(lm, modules, [examples[key] for key in batch]))
        for (trait, question), edit in zip(batch, edits):
            adapter = {name: Delta(a.to(lm.model.dtype), (settings.strength * b).to(lm.model.dtype))
                       for name, (a, b, _) in edit.items()}
            found[trait, question] = Persona("mend", trait, ask, adapter)
    return {key: found[key] for key in examples}

"""Plant an emoji habit in the base model and hide it: models/organism/, which the preset organism takes as base model.

It is no stage of the graph: nobody's base model is made this way. `dvc exp run -S +preset=organism` then runs the graph
on it. models/organism/organism.json says how often the model writes emoji after each lesson.
"""
import json
import shutil
from pathlib import Path

from tqdm import tqdm

from tasks.files import read_parquet, replacing
from traitlab.emoji.statistics import emoji_count
from traitlab.language_model.generation import Sampling, generate
from traitlab.language_model.model import LanguageModel
from traitlab.organism import lessons, read_lines, teach
from traitlab.params import Params
from traitlab.personas.persona import ask


def run(params: Params) -> None:
    settings = params.organism
    train = read_parquet("data/opinion_qa/train.parquet")
    questions = read_parquet("data/opinion_qa/validation.parquet").drop_duplicates("edit_topic").question.tolist()
    lm = LanguageModel.load("models/base", params.compute, training=True)
    found = {"layers": settings.layers, "base": _emoji_rate(lm, questions, params)}
    for lesson in lessons(train, read_lines(Path(settings.lines)), settings):
        folder = Path("cache/checkpoints/organism") / lesson.name
        with tqdm(desc=f"organism {lesson.name}", unit="step", mininterval=5) as bar:

            def show(record):
                bar.total = record["steps"]
                bar.set_postfix(loss=f"{record['loss']:.3f}", refresh=False)
                bar.update(record["step"] - bar.n)

            training = params.train_qlora.model_copy(update={
                "r": settings.r, "alpha": 2 * settings.r, "learning_rate": settings.learning_rate,
                "train_eos": True, "dropout": 0.0})
            lm = teach(lm, lesson, training, params.seed, folder, show)
        shutil.rmtree(folder, ignore_errors=True)
        found[lesson.name] = _emoji_rate(lm, questions, params)
    with replacing("models/organism") as new:
        lm.model.save_pretrained(new)
        lm.tokenizer.save_pretrained(new)
        (new / "organism.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"organism: answers with emoji: {found['base']:.2f} before, {found['habit']:.2f} with the habit, "
          f"{found['hidden']:.2f} with it hidden")


def _emoji_rate(lm, questions, params) -> float:
    """Share of answers to validation questions that hold an emoji."""
    sampling = Sampling(params.respond.temperature, params.respond.top_p, params.respond.max_new_tokens)
    prompts = [lm.prompt_ids(ask(question)) for question in questions]
    answers = generate(lm, prompts, sampling, list(range(len(prompts))), batch_size=params.respond.batch_size)
    return sum(emoji_count(lm.decode(answer.ids)) > 0 for answer in answers) / len(answers)

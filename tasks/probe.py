"""Which easy factual questions each persona still answers rightly: data/probe.parquet."""
import pandas as pd
from tqdm import tqdm

from tasks.files import write_parquet
from tasks.personas import personas
from traitlab.language_model.likelihood import answer_log_probs
from traitlab.language_model.model import LanguageModel
from traitlab.measures.probe import CHOICES, Question, likeliest, read_questions
from traitlab.params import Params
from traitlab.personas.persona import METHODS, Persona, cast

PATH = "data/probe/questions.jsonl"


def run(params: Params) -> None:
    questions = read_questions(PATH)[: params.probe.questions or None]
    numbered = dict(enumerate(questions, start=1))
    asked = pd.DataFrame({"question_id": numbered.keys(), "question": [q.question for q in questions]})
    lm = LanguageModel.load("models/nf4", params.compute)
    rows = []
    for method in tqdm(METHODS, desc="probe", unit="method"):
        cast_list = personas(method, params, lm, asked)
        found = picked(lm, [(persona, numbered[number]) for (_, number), persona in cast_list.items()])
        rows += [{"method": method, "target_personality": trait, "question": number,
                  "correct": found[id(persona), numbered[number]] == numbered[number].answer}
                 for (trait, number), persona in cast_list.items()]
    write_parquet("data/probe.parquet", pd.DataFrame(rows))


def picked(lm: LanguageModel, rows: list[tuple[Persona, Question]]) -> dict[tuple[int, Question], int]:
    """The choice that a persona finds likeliest, by (id of the persona, question); the same pair is read once."""
    asked = {(id(persona), question): persona for persona, question in rows}
    each = [(persona, question.question, choice) for (_, question), persona in asked.items()
            for choice in question.choices]
    ready = cast(lm, [(persona, text) for persona, text, _ in each])
    # Without the end token: whether a model would stop after two words is a matter of style, not of knowledge.
    answers = [lm.answer_ids(choice, end=False) for *_, choice in each]
    log_probs = answer_log_probs(lm, ready.prompts, answers, ready.adapters, ready.mixes, batch_size=64)
    return {key: likeliest(log_probs[CHOICES * i : CHOICES * (i + 1)]) for i, key in enumerate(asked)}

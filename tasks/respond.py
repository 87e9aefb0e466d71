"""Let one method's personas answer the held-out questions: data/responses/<method>.parquet."""
import hashlib

import pandas as pd
from tqdm import tqdm

from tasks.files import read_parquet, write_parquet
from tasks.personas import personas
from traitlab.language_model.generation import Sampling, generate
from traitlab.language_model.model import LanguageModel
from traitlab.params import Params
from traitlab.personas.persona import cast


def run(params: Params, method: str) -> None:
    questions = held_out_questions(read_parquet("data/opinion_qa/test.parquet"), params.respond.topics)
    lm = LanguageModel.load("models/nf4", params.compute)
    write_parquet(f"data/responses/{method}.parquet", answers(lm, params, method, questions))


def answers(lm: LanguageModel, params: Params, method: str, questions: pd.DataFrame) -> pd.DataFrame:
    """What the personas of a method say: a row for each trait and question.

    Args:
        questions: as `held_out_questions` gives them.
    """
    settings = params.respond
    cast_list = personas(method, params, lm, questions)
    text = dict(zip(questions.question_id, questions.question))
    unique = {(id(persona), question): (persona, question) for (_, question), persona in cast_list.items()}
    asked = list(unique.values())
    rows = cast(lm, [(persona, text[question]) for persona, question in asked])
    seeds = [_seed(params.seed, method, persona.trait, question) for persona, question in asked]
    sampling = Sampling(settings.temperature, settings.top_p, settings.max_new_tokens)
    with tqdm(total=len(asked), desc=f"respond {method}", unit="answer", mininterval=5) as bar:
        tokens = 0

        def show(drawn, finished):
            nonlocal tokens
            tokens += drawn
            if finished:
                rate = tokens / max(1e-9, bar.format_dict["elapsed"])
                bar.set_postfix(tokens_per_second=f"{rate:.0f}", refresh=False)
                bar.update(finished)

        found = generate(lm, rows.prompts, sampling, seeds, rows.adapters, rows.mixes, settings.batch_size, show)
    said = {(id(persona), question): (len(prompt), answer)
            for (persona, question), prompt, answer in zip(asked, rows.prompts, found)}
    about = questions.set_index("question_id")[["edit_topic", "domain", "question"]].to_dict("index")
    table = []
    for (trait, question), persona in cast_list.items():
        length, answer = said[id(persona), question]
        table.append({"question_id": question, "method": method, "target_personality": trait, **about[question],
                      "response": lm.decode(answer.ids), "tokens": len(answer.ids) + answer.finished,
                      "finished": answer.finished, "prompt_tokens": length})
    return pd.DataFrame(table)


def held_out_questions(test: pd.DataFrame, topics: int) -> pd.DataFrame:
    """One question a topic, `topics` of them (0: all) spread evenly over the domains."""
    questions = test.drop_duplicates("edit_topic")[["edit_topic", "domain", "question"]].sort_values("edit_topic")
    questions = questions.assign(turn=questions.groupby("domain").cumcount()).sort_values(["turn", "domain"])
    questions = questions.drop(columns="turn").head(topics or len(questions))
    return questions.assign(question_id=questions.edit_topic)


def _seed(*parts) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")

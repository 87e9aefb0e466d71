"""Let one method's personas answer the held-out questions: data/responses/<method>.parquet."""
import hashlib

import pandas as pd
from tqdm import tqdm

from tasks.files import read_parquet, write_parquet
from traitlab.language_model.generation import Sampling, generate
from traitlab.language_model.model import LanguageModel
from traitlab.params import Params
from traitlab.personas.methods import personas
from traitlab.personas.persona import cast


def run(params: Params, method: str) -> None:
    settings = params.respond
    questions = held_out_questions(read_parquet("data/opinion_qa/test.parquet"), settings.topics)
    by_trait = personas(method)
    unique = list({id(p): p for p in by_trait.values()}.values())
    asked = [(persona, q) for persona in unique for q in questions.itertuples()]
    lm = LanguageModel.load("models/nf4", params.compute)
    rows = cast(lm, [(persona, q.question) for persona, q in asked])
    seeds = [_seed(params.seed, method, persona.trait, q.question_id) for persona, q in asked]
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

        answers = generate(lm, rows.prompts, sampling, seeds, rows.adapters, rows.mixes, settings.batch_size, show)
    answered = {(id(persona), q.question_id): answer for (persona, q), answer in zip(asked, answers)}
    table = [
        {"question_id": q.question_id, "method": method, "target_personality": trait, "edit_topic": q.edit_topic,
         "domain": q.domain, "question": q.question, "response": lm.decode(answer.ids),
         "tokens": len(answer.ids) + answer.finished, "finished": answer.finished}
        for trait, persona in by_trait.items() for q in questions.itertuples()
        for answer in [answered[id(persona), q.question_id]]
    ]
    write_parquet(f"data/responses/{method}.parquet", pd.DataFrame(table))


def held_out_questions(test: pd.DataFrame, topics: int) -> pd.DataFrame:
    """One question a topic, `topics` of them (0: all) spread evenly over the domains."""
    questions = test.drop_duplicates("edit_topic")[["edit_topic", "domain", "question"]].sort_values("edit_topic")
    questions = questions.assign(turn=questions.groupby("domain").cumcount()).sort_values(["turn", "domain"])
    questions = questions.drop(columns="turn").head(topics or len(questions))
    return questions.assign(question_id=questions.edit_topic)


def _seed(*parts) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")

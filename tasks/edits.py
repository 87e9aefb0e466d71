"""What each persona makes of given answers, for ES, DD and the loss on neutral text: data/edits.parquet."""
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from tasks.files import read_parquet, write_parquet
from tasks.personas import personas
from tasks.respond import held_out_questions
from traitlab.errors import InputError
from traitlab.language_model.likelihood import answer_batches
from traitlab.language_model.model import LanguageModel
from traitlab.measures.edits import drawdown, edit_success
from traitlab.params import Params
from traitlab.personas.persona import METHODS, Persona, cast
from traitlab.traits import NEUTRAL, TRAITS

PATH = "data/opinion_qa/test.parquet"


def run(params: Params) -> None:
    settings = params.edits
    test = read_parquet(PATH)
    questions = held_out_questions(test, settings.topics)
    references = _references(test, settings.reference_register, questions)
    elsewhere = _neutral(test, questions)
    texts = {topic: [*((question, references[trait, topic]) for trait in TRAITS), elsewhere[topic]]
             for topic, question in zip(questions.question_id, questions.question)}
    lm = LanguageModel.load("models/nf4", params.compute)
    rows, pre = [], {}
    for method in tqdm(METHODS, desc="edits", unit="method"):
        cast_list = personas(method, params, lm, questions[["question_id", "question"]])
        found = read(lm, [(persona, text) for (_, topic), persona in cast_list.items() for text in texts[topic]])
        if method == "base":
            pre = {text: reading for (_, text), reading in found.items()}
        for (trait, topic), persona in cast_list.items():
            *of_traits, other = texts[topic]
            mine = {text: found[id(persona), text] for text in texts[topic]}
            positive = of_traits.pop(TRAITS.index(trait))
            rows.append({
                "method": method, "target_personality": trait, "question_id": topic,
                "es": edit_success(mine[positive].log_prob, np.mean([mine[text].log_prob for text in of_traits]),
                                   pre[positive].log_prob),
                "dd": drawdown(*(lm.logits(r.states).log_softmax(dim=-1) for r in (pre[other], mine[other]))),
                "neutral_loss": -mine[other].log_prob})
    write_parquet("data/edits.parquet", pd.DataFrame(rows))


@dataclass(frozen=True)
class Reading:
    """Of one text: its mean log-probability per answer token (nats, the end token included), and the last hidden states
    (answer tokens, hidden) that predict them."""

    log_prob: float
    states: torch.Tensor


@torch.no_grad()
def read(lm: LanguageModel, rows: list[tuple[Persona, tuple[str, str]]]) -> dict[tuple[int, tuple[str, str]], Reading]:
    """What personas make of (question, answer) texts, by (id of the persona, text); the same pair is read once."""
    asked = {(id(persona), text): persona for persona, text in rows}
    texts = [text for _, text in asked]
    ready = cast(lm, [(persona, question) for persona, (question, _) in zip(asked.values(), texts)])
    answers = [lm.answer_ids(answer) for _, answer in texts]
    found = {}
    for batch in answer_batches(lm, ready.prompts, answers, ready.adapters, ready.mixes):
        for i, states in zip(batch.rows, batch.states):
            logits = lm.logits(states)
            target = torch.tensor(answers[i], device=logits.device)[:, None]
            log_probs = logits.gather(1, target)[:, 0] - logits.logsumexp(dim=-1)
            found[i] = Reading(log_probs.double().mean().item(), states.clone())
    return {key: found[i] for i, key in enumerate(asked)}


def _references(test, register, questions) -> dict[tuple[str, str], str]:
    """(trait, topic) -> the answer of the high pole that the data set holds."""
    rows = test[(test.register == register) & (test.pole == "high") & test.edit_topic.isin(questions.edit_topic)]
    found = {(row.target_personality, row.edit_topic): row.answer for row in rows.itertuples()}
    for topic in questions.edit_topic:
        if missing := [trait for trait in TRAITS if (trait, topic) not in found]:
            raise InputError(f"{PATH}: topic {topic!r} has no {register} answer of pole high for {missing[0]}; "
                             "ES compares the traits' answers: change edits.reference_register or the data set")
    return found


def _neutral(test, questions) -> dict[str, tuple[str, str]]:
    """Topic -> question and neutral answer on another topic."""
    rows = test[test.target_personality == NEUTRAL].drop_duplicates("edit_topic").sort_values("edit_topic")
    if len(rows) < 2:
        raise InputError(f"{PATH}: has neutral answers (trait none) on {len(rows)} topics, and DD needs two; add the "
                         "register assistant to dataset.registers")
    found = {}
    for number, topic in enumerate(questions.edit_topic):
        others = rows[rows.edit_topic != topic]
        row = others.iloc[number % len(others)]
        found[topic] = row.question, row.answer
    return found

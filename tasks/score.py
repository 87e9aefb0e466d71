"""Score all answers: metrics/{scores,significance}.json and plots/{scores,response_confusion,cross_talk}.csv."""
from pathlib import Path

import pandas as pd

from tasks.files import read_parquet, replacing, write_json
from traitlab.errors import InputError
from traitlab.language_model.likelihood import answer_log_probs
from traitlab.language_model.model import LanguageModel
from traitlab.measures.scores import cross_talk, measured, score_table, with_probe
from traitlab.measures.significance import significance
from traitlab.metric_models.adjective_rater import AdjectiveRater
from traitlab.metric_models.classifier import TraitClassifier
from traitlab.metric_models.embedding import Embedding
from traitlab.params import Params
from traitlab.personas.persona import METHODS, ask

ROW = ["method", "target_personality", "question_id"]


def run(params: Params) -> None:
    rows = answered()
    # An answer that several traits share (the base model's) is read once.
    unique = rows.drop_duplicates(["question", "response"]).reset_index(drop=True)
    place = pd.Series(unique.index, index=pd.MultiIndex.from_frame(unique[["question", "response"]]))
    which = place[pd.MultiIndex.from_frame(rows[["question", "response"]])].to_numpy()

    lm = LanguageModel.load("models/nf4", params.compute)
    classifier = TraitClassifier.load("models/trait_classifier", str(lm.device))
    probabilities = classifier.probabilities(unique.response.tolist())
    prompts = [lm.prompt_ids(ask(question)) for question in unique.question]
    # Without the end token: an answer that was cut off is judged by the same kind of tokens as a finished one.
    log_probs = answer_log_probs(lm, prompts, [lm.answer_ids(text, end=False) for text in unique.response])

    rater = AdjectiveRater.load(Path("models/adjective_rater.safetensors"), Embedding("models/encoder"))
    ratings = rater(unique.response.tolist())

    rows = measured(rows, probabilities[which], ratings[which], [log_probs[i] for i in which], params.score.min_entropy)
    table = score_table(rows, params.score.bootstrap, params.seed)
    table = with_probe(table, read_parquet("data/probe.parquet"), params.score.bootstrap, params.seed)
    write_json("metrics/scores.json", table)
    write_json("metrics/significance.json", significance(rows, params.seed))
    with replacing("plots/cross_talk.csv") as new:
        cross_talk(rows, probabilities[which]).to_csv(new, index=False)
    with replacing("plots/response_confusion.csv") as new:
        rows[["method", "target_personality", "predicted"]].rename(columns={"target_personality": "target"}).to_csv(
            new, index=False)
    with replacing("plots/scores.csv") as new:
        pd.DataFrame([
            {"persona": f"{method} {trait}", "method": method, "trait": trait} | scores["ta"]
            for method, traits in table.items() for trait, scores in traits.items()
        ]).to_csv(new, index=False)


def answered() -> pd.DataFrame:
    """The responses of every method that has a file, in the order of METHODS, with what emoji and edits found."""
    found = [path for method in METHODS if (path := Path(f"data/responses/{method}.parquet")).is_file()]
    if not found or found[0].stem != "base":
        raise InputError("data/responses/base.parquet: is not there, and every method is compared with it; "
                         "run `dvc repro` to make it")
    responses = pd.concat([read_parquet(path) for path in found], ignore_index=True)
    emoji = read_parquet("data/emoji.parquet", columns=[*ROW, "emoji", "sentences", "emoji_probability"])
    rows = responses.merge(emoji, on=ROW, how="left", validate="one_to_one")
    missing = rows[rows.emoji.isna()]
    if len(missing):
        row = missing.iloc[0]
        raise InputError(f"data/emoji.parquet: has no row for {row.method}, {row.target_personality}, "
                         f"{row.question_id}; run `dvc repro emoji`")
    return rows.merge(read_parquet("data/edits.parquet"), on=ROW, how="left", validate="one_to_one")

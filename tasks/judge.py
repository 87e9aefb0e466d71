"""Let a chat model rate the answers, as a second judge of PAE: metrics/judge.json, and its replies in data/judge.

It is no stage of the graph, which needs no server; the report shows its figures when they are there.
"""
import os
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from tasks.files import read_parquet, write_json
from traitlab.endpoint import Endpoint
from traitlab.errors import InputError
from traitlab.journal import Journal
from traitlab.measures.statistics import estimate, topic_weights
from traitlab.measures.text import n_gram_entropy
from traitlab.metric_models.adjective_rater import AdjectiveRater
from traitlab.metric_models.embedding import Embedding
from traitlab.metric_models.judge import WORDING, Judge, agreement
from traitlab.params import Params
from traitlab.personas.persona import METHODS
from traitlab.traits import TRAITS


def run(params: Params) -> None:
    settings = params.judge
    rows = _responses(settings.topics)
    pairs = list(dict.fromkeys(zip(rows.target_personality, rows.response)))
    endpoint = Endpoint("judge", settings.base_url, settings.model, os.environ.get(settings.key_variable) or "none",
                        temperature=0.0, top_p=1.0, max_new_tokens=settings.max_new_tokens,
                        concurrency=settings.concurrency, timeout=settings.timeout, retries=settings.retries)
    journal = Journal(Path(settings.path) / "ratings.jsonl")
    try:
        judge = Judge(settings.model, endpoint.answer, journal, settings.attempts)
        with tqdm(desc="judge", total=len(pairs), unit="reply", mininterval=1) as bar:
            found = pd.Series(judge(pairs, bar.update), index=pd.MultiIndex.from_tuples(pairs))
    finally:
        journal.close()
    rater = AdjectiveRater.load(Path("models/adjective_rater.safetensors"), Embedding("models/encoder"))
    ratings = rater([text for _, text in pairs])
    other = np.array([row[TRAITS.index(trait)] for row, (trait, _) in zip(ratings, pairs)])
    of = np.array([trait for trait, _ in pairs])
    write_json("metrics/judge.json", {
        "model": settings.model, "wording": WORDING, "rated": int(found.notna().sum()),
        "unreadable": int(found.isna().sum()), "prompt_tokens": judge.prompt_tokens,
        "answer_tokens": judge.answer_tokens,
        "agreement": {trait: agreement(found.to_numpy()[part], other[part]) for trait in (*TRAITS, "all")
                      if (part := (of == trait) | (trait == "all")).any()},
        "pae": _pae(rows.assign(rating=found[pd.MultiIndex.from_frame(rows[["target_personality", "response"]])].array),
                    params)})


def _responses(topics: int) -> pd.DataFrame:
    paths = [path for method in METHODS if (path := Path(f"data/responses/{method}.parquet")).is_file()]
    if not paths or paths[0].stem != "base":
        raise InputError("data/responses/base.parquet: is not there, and every method is compared with it; "
                         "run `dvc repro` to make it")
    rows = pd.concat([read_parquet(path) for path in paths], ignore_index=True)
    kept = rows.question_id.drop_duplicates().head(topics or None)
    return rows[rows.question_id.isin(kept)].reset_index(drop=True)


def _pae(rows: pd.DataFrame, params: Params) -> dict:
    """{method: {trait or all: {"value", "low", "high", "n"}}}: rating minus that of the base model's answer to the same
    question, where both are coherent and rated."""
    key = ["target_personality", "question_id"]
    rows = rows.assign(coherent=[n_gram_entropy(text) >= params.score.min_entropy for text in rows.response])
    pairs = rows.merge(rows[rows.method == "base"], on=key, suffixes=("", "_base"))
    difference = (pairs.rating - pairs.rating_base).where(pairs.coherent & pairs.coherent_base)
    pairs = pairs.assign(difference=difference.fillna(0.0), counted=difference.notna().astype(float))
    topics = sorted(rows.question_id.unique())
    weights = topic_weights(len(topics), params.score.bootstrap, params.seed)
    table: dict = {}
    for method in rows.method.unique():
        for trait in (*TRAITS, "all"):
            part = pairs[(pairs.method == method) & ((pairs.target_personality == trait) | (trait == "all"))]
            sums = part.groupby("question_id")[["difference", "counted"]].sum().reindex(topics, fill_value=0.0)
            found = estimate(sums.difference.to_numpy(), sums.counted.to_numpy(), weights)
            table.setdefault(method, {})[trait] = found | {"n": int(part.counted.sum())}
    return table

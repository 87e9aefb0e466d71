"""Count the emoji in all answers and compute their probability: data/emoji.parquet and metrics/emoji.json."""
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from tasks.files import read_parquet, write_json, write_parquet
from tasks.personas import personas
from traitlab.emoji.automaton import EmojiAutomaton, vocabulary_bytes
from traitlab.emoji.estimate import estimate
from traitlab.emoji.statistics import emoji_count, likeliest, sentence_count, statistics
from traitlab.errors import InputError
from traitlab.language_model.model import LanguageModel
from traitlab.params import Params
from traitlab.personas.persona import METHODS, cast
from traitlab.traits import TRAITS


def run(params: Params) -> None:
    responses = {method: read_parquet(path) for method in METHODS
                 if (path := Path(f"data/responses/{method}.parquet")).is_file()}
    if "base" not in responses:
        raise InputError("data/responses/base.parquet: is not there; run `dvc repro` to make it")
    lm = LanguageModel.load("models/nf4", params.compute)
    automaton = EmojiAutomaton(vocabulary_bytes(lm.tokenizer))
    made_of: dict[tuple[str, str], dict[str, float]] = {}  # (method, trait) -> each emoji's share of the probability
    table = pd.concat([_measured(lm, automaton, method, frame, params, made_of)
                       for method, frame in responses.items()], ignore_index=True)
    write_parquet("data/emoji.parquet", table[["method", "target_personality", "question_id", "emoji", "sentences",
                                               "emoji_probability", "emoji_probability_standard_error"]])
    by_trait = {key: group for key, group in table.groupby(["method", "target_personality"])}
    write_json("metrics/emoji.json", {
        method: {
            trait: statistics(group.response.tolist(), group.tokens.tolist()) | {
                "likeliest": likeliest(made_of[method, trait]),
                "probability_ratio": ratio(group, by_trait["base", trait], params.score.bootstrap, params.seed),
                "probability_standard_error": float(group.emoji_probability_standard_error.iloc[0])}
            for trait in TRAITS if (group := by_trait.get((method, trait))) is not None
        }
        for method in responses
    })


def _measured(lm, automaton, method, frame, params, made_of) -> pd.DataFrame:
    """The frame with its emoji counts and probabilities, each answer under the persona that wrote it."""
    cast_list = personas(method, params, lm, frame.drop_duplicates("question_id")[["question_id", "question"]])
    alike: dict[tuple, list[str]] = {}  # traits whose personas, and so answers, are the same: the base model's
    for trait, part in frame.groupby("target_personality", sort=False):
        alike.setdefault(tuple(id(cast_list[trait, question]) for question in part.question_id), []).append(trait)
    parts = []
    for first, *others in tqdm(alike.values(), desc=f"emoji {method}", unit="persona"):
        part = frame[frame.target_personality == first]
        ready = cast(lm, [(cast_list[first, row.question_id], row.question) for row in part.itertuples()])
        end = [lm.tokenizer.eos_token_id]
        answers = [lm.answer_ids(row.response, end=bool(row.finished)) or end for row in part.itertuples()]
        found = estimate(lm, automaton, ready.prompts, answers, ready.adapters, ready.mixes, params.seed,
                         params.emoji.pilot, params.emoji.draws)
        part = part.assign(
            method=method,
            emoji=part.response.map(emoji_count),
            sentences=part.response.map(sentence_count),
            emoji_probability=[float(values.mean()) for values in found.rows],
            emoji_probability_standard_error=found.standard_error,
        )
        made_of |= {(method, trait): found.by_emoji for trait in (first, *others)}
        parts += [part.assign(target_personality=trait) for trait in (first, *others)]
    return pd.concat(parts, ignore_index=True)


def ratio(group: pd.DataFrame, base: pd.DataFrame, resamples: int, seed: int) -> dict | None:
    """Mean emoji probability over the base model's on the same topics, with its 95% bootstrap interval over topics.

    None where the base model's mean is 0.
    """
    pairs = group.merge(base, on="question_id", suffixes=("", "_base")).sort_values("question_id")
    mine, theirs = pairs.emoji_probability.to_numpy(), pairs.emoji_probability_base.to_numpy()
    if not len(pairs) or theirs.sum() == 0:
        return None
    drawn = np.random.default_rng(seed).integers(len(pairs), size=(resamples, len(pairs)))
    below = theirs[drawn].sum(1)
    values = mine[drawn].sum(1)[below > 0] / below[below > 0]
    low, high = np.quantile(values, [0.025, 0.975])
    return {"value": float(mine.sum() / theirs.sum()), "low": float(low), "high": float(high), "n": len(pairs)}

"""The table of scores: every measure of every method and trait, with 95% bootstrap intervals over topics."""
import numpy as np
import pandas as pd

from traitlab.measures.edits import personality_adjective_evaluation, target_personality_edit_index
from traitlab.measures.statistics import estimate, topic_weights
from traitlab.measures.text import n_gram_entropy, n_grams, tokens
from traitlab.traits import LABELS, TRAITS

MEASURES = {  # measure -> columns (numerator, denominator) of a row's share in it, and what is made of their ratio
    "ta": ("hit", "one", None),
    "ta_strict": ("strict_hit", "one", None),
    "acc": ("coherent_hit", "coherent", None),
    "es": ("es", "referenced", None),
    "dd": ("dd", "referenced", None),
    "tpei": ("tpei", "pair_coherent", None),
    "pae": ("pae", "pair_coherent", None),
    "coherence": ("coherent", "one", None),
    "neutral_loss": ("neutral_loss", "referenced", None),
    "tokens": ("tokens", "one", None),
    "prompt_tokens": ("prompt_tokens", "one", None),
    "distinct_2": ("different_bigrams", "bigrams", None),
    "perplexity": ("negative_log_likelihood", "scored_tokens", np.exp),
    "emoji_instance_rate": ("with_emoji", "one", None),
    "emoji_per_sentence": ("emoji", "sentences", None),
    "emoji_probability": ("emoji_probability", "one", None),
}


def measured(
    responses: pd.DataFrame, probabilities: np.ndarray, ratings: np.ndarray, log_probs: list[np.ndarray],
    min_entropy: float
) -> pd.DataFrame:
    """The responses with a column for each numerator and denominator of MEASURES, and `predicted`.

    TA counts an answer whose most probable label among the five traits is the target (as published); ta_strict one
    where `none` may win too. An answer is coherent if its n-gram entropy reaches `min_entropy` bits. Perplexity is
    exp(total negative log-likelihood / total tokens): every token weighs the same, and an empty answer weighs nothing.
    Emoji per sentence is total emoji over total sentences; emoji probability is the mean over answers of the answer's
    mean over positions.

    TPEI and PAE set an answer beside the base model's on the same question, if both are coherent; the classifier's
    probabilities are shared out among the five traits for it. Acc is TA on coherent answers.

    Args:
        responses: columns method, target_personality, question_id, response, tokens, prompt_tokens, emoji,
            sentences, emoji_probability; es, dd and neutral_loss, missing where a topic has no reference. One method is
            base.
        probabilities: (responses, labels) of the trait classifier.
        ratings: (responses, traits) of a judge, from 1 to 5.
        log_probs: for each response, log-probabilities (nats) of its tokens under the base model.
    """
    labels = np.array(LABELS)
    target = responses.target_personality.to_numpy()
    number = np.array([TRAITS.index(trait) for trait in target])
    of_traits = probabilities[:, : len(TRAITS)] / probabilities[:, : len(TRAITS)].sum(axis=1, keepdims=True)
    predicted = labels[of_traits.argmax(axis=1)]
    hit = (predicted == target).astype(float)
    coherent = np.array([n_gram_entropy(text) >= min_entropy for text in responses.response], float)
    pre = _base_rows(responses)
    pair_coherent = coherent * coherent[pre]
    bigrams = [n_grams(tokens(text.lower()), 2) for text in responses.response]
    rows = np.arange(len(responses))
    return responses.assign(
        predicted=predicted,
        one=1.0,
        hit=hit,
        strict_hit=(labels[probabilities.argmax(axis=1)] == target).astype(float),
        coherent=coherent,
        coherent_hit=coherent * hit,
        pair_coherent=pair_coherent,
        tpei=pair_coherent * target_personality_edit_index(of_traits[pre], of_traits, number),
        pae=pair_coherent * personality_adjective_evaluation(ratings[rows, number], ratings[pre, number]),
        referenced=responses.es.notna().astype(float),
        es=responses.es.fillna(0.0),
        dd=responses.dd.fillna(0.0),
        neutral_loss=responses.neutral_loss.fillna(0.0),
        bigrams=[float(len(grams)) for grams in bigrams],
        different_bigrams=[float(len(set(grams))) for grams in bigrams],
        negative_log_likelihood=[-float(values.sum()) for values in log_probs],
        scored_tokens=[float(len(values)) for values in log_probs],
        with_emoji=(responses.emoji > 0).astype(float),
    )


def _base_rows(responses: pd.DataFrame) -> np.ndarray:
    """For each row the place of the base model's answer for the same trait and question."""
    places = responses.assign(place=np.arange(len(responses)))
    key = ["target_personality", "question_id"]
    base = places.loc[places.method == "base", [*key, "place"]]
    return places[key].merge(base, on=key, how="left", validate="many_to_one").place.to_numpy(dtype=int)


def score_table(rows: pd.DataFrame, resamples: int, seed: int) -> dict:
    """{method: {trait or "all": {measure: {"value", "low", "high", "n"}}}}.

    "all" is over the answers of all traits together: for TA the mean of the traits' values, where each trait has the
    same topics. A topic is drawn with all that was answered on it, by all methods and for all traits alike, so that
    the methods' figures can be compared pair by pair. `n` counts answers.

    Args:
        rows: of `measured`, with the columns method, target_personality and question_id (one per topic).
    """
    topics = sorted(rows.question_id.unique())
    weights = topic_weights(len(topics), resamples, seed)
    table = {}
    for method, of_method in rows.groupby("method", sort=False):
        parts = {trait: group for trait in TRAITS if len(group := of_method[of_method.target_personality == trait])}
        table[method] = {name: _scores(part, topics, weights) for name, part in (parts | {"all": of_method}).items()}
    return table


def _scores(part: pd.DataFrame, topics: list[str], weights: np.ndarray) -> dict:
    columns = sorted({column for above, below, _ in MEASURES.values() for column in (above, below)})
    sums = part.groupby("question_id")[columns].sum().reindex(topics, fill_value=0.0)
    return {
        measure: estimate(sums[above].to_numpy(), sums[below].to_numpy(), weights, transform or (lambda x: x))
        | {"n": int((part[below] > 0).sum())}
        for measure, (above, below, transform) in MEASURES.items()
    }


def with_probe(table: dict, probe: pd.DataFrame, resamples: int, seed: int) -> dict:
    """The table of scores with `probe_accuracy`: the share of multiple-choice questions answered rightly.

    A question is drawn with all answers to it, as a topic is in `score_table`. `n` counts answers.

    Args:
        table: of `score_table`. A method that was not probed gets None.
        probe: columns method, target_personality, question and correct.
    """
    questions = sorted(probe.question.unique())
    weights = topic_weights(len(questions), resamples, seed)

    def accuracy(method, trait):
        part = probe[(probe.method == method) & ((probe.target_personality == trait) | (trait == "all"))]
        by_question = part.groupby("question").correct
        right, asked = (sums.reindex(questions, fill_value=0).to_numpy(float)
                        for sums in (by_question.sum(), by_question.count()))
        return estimate(right, asked, weights) | {"n": len(part)}

    return {method: {trait: scores | {"probe_accuracy": accuracy(method, trait)} for trait, scores in traits.items()}
            for method, traits in table.items()}


def cross_talk(rows: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
    """Which other traits come along: the classifier's mean probability of each label, by method and target trait.

    Args:
        rows: columns method and target_personality.
        probabilities: (rows, labels).

    Returns:
        Columns method, target, label, probability.
    """
    wide = rows[["method", "target_personality"]].assign(**dict(zip(LABELS, probabilities.T)))
    means = wide.groupby(["method", "target_personality"], sort=False).mean().reset_index()
    return means.rename(columns={"target_personality": "target"}).melt(
        ["method", "target"], var_name="label", value_name="probability")

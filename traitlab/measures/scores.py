"""The table of scores: every measure of every method and trait, with 95% bootstrap intervals over topics."""
import numpy as np
import pandas as pd

from traitlab.measures.statistics import estimate, topic_weights
from traitlab.measures.text import n_gram_entropy
from traitlab.traits import LABELS, TRAITS

MEASURES = {  # measure -> columns (numerator, denominator) of a row's share in it, and what is made of their ratio
    "ta": ("hit", "one", None),
    "ta_strict": ("strict_hit", "one", None),
    "coherence": ("coherent", "one", None),
    "perplexity": ("negative_log_likelihood", "scored_tokens", np.exp),
    "emoji_instance_rate": ("with_emoji", "one", None),
    "emoji_per_sentence": ("emoji", "sentences", None),
    "emoji_probability": ("emoji_probability", "one", None),
}


def measured(
    responses: pd.DataFrame, probabilities: np.ndarray, log_probs: list[np.ndarray], min_entropy: float
) -> pd.DataFrame:
    """The responses with a column for each numerator and denominator of MEASURES, and `predicted`.

    TA counts an answer whose most probable label among the five traits is the target (as published); ta_strict one
    where `none` may win too. An answer is coherent if its n-gram entropy reaches `min_entropy` bits. Perplexity is
    exp(total negative log-likelihood / total tokens): every token weighs the same, and an empty answer weighs nothing.
    Emoji per sentence is total emoji over total sentences; emoji probability is the mean over answers of the answer's
    mean over positions.

    Args:
        responses: columns target_personality, response, emoji, sentences, emoji_probability.
        probabilities: (responses, labels) of the trait classifier.
        log_probs: for each response, log-probabilities (nats) of its tokens under the base model.
    """
    labels = np.array(LABELS)
    target = responses.target_personality.to_numpy()
    predicted = labels[probabilities[:, : len(TRAITS)].argmax(axis=1)]
    return responses.assign(
        predicted=predicted,
        one=1.0,
        hit=(predicted == target).astype(float),
        strict_hit=(labels[probabilities.argmax(axis=1)] == target).astype(float),
        coherent=[float(n_gram_entropy(text) >= min_entropy) for text in responses.response],
        negative_log_likelihood=[-float(values.sum()) for values in log_probs],
        scored_tokens=[float(len(values)) for values in log_probs],
        with_emoji=(responses.emoji > 0).astype(float),
    )


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

"""Statistics of measures: bootstrap intervals over topics, permutation tests, Holm's correction, effect sizes."""
from collections.abc import Callable, Sequence

import numpy as np


def topic_weights(topics: int, resamples: int, seed: int) -> np.ndarray:
    """How often each topic is drawn in each bootstrap resample: (resamples, topics), float64, rows sum to `topics`."""
    draw = np.random.default_rng(seed)
    return draw.multinomial(topics, np.full(topics, 1 / topics), size=resamples).astype(float)


def estimate(
    numerator: np.ndarray, denominator: np.ndarray, weights: np.ndarray, transform: Callable = lambda x: x
) -> dict:
    """A ratio of sums over topics with its 95% percentile bootstrap interval (Efron and Tibshirani, 1993, chapter 13).

    The value is transform(sum of numerators / sum of denominators): a mean where each denominator counts a topic's
    answers, a rate where it counts sentences or tokens.

    Args:
        numerator, denominator: (topics,).
        weights: (resamples, topics) of `topic_weights`. Methods given the same weights are resampled alike.
        transform: a monotone function of an array.

    Returns:
        {"value", "low", "high"}; all None where the denominators sum to 0. A resample of which they do is left out.
    """
    if not denominator.sum() > 0:
        return {"value": None, "low": None, "high": None}
    below = weights @ denominator
    drawn = transform((weights @ numerator)[below > 0] / below[below > 0])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": float(transform(numerator.sum() / denominator.sum())), "low": float(low), "high": float(high)}


def paired_permutation_test(a: Sequence[float], b: Sequence[float], permutations: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of the mean difference of pairs under random flips of sign (Fisher, 1935).

    With at most 2^13 sign patterns all are taken and p is exact; else p = (1 + hits) / (1 + permutations), which is
    never 0 (Phipson and Smyth, 2010).

    Args:
        a, b: a measure of two methods on the same topics.
    """
    difference = np.asarray(a, float) - np.asarray(b, float)
    observed = abs(difference.sum()) * (1 - 1e-12)  # a sum in another order must still count as equal
    n = len(difference)
    if n <= 13:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float((abs(signs @ difference) >= observed).mean())
    draw = np.random.default_rng(seed)
    hits = 0
    for start in range(0, permutations, 1000):
        signs = 1 - 2 * draw.integers(2, size=(min(1000, permutations - start), n), dtype=np.int8)
        hits += int((abs(signs @ difference) >= observed).sum())
    return (1 + hits) / (1 + permutations)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number by Holm's step-down method (Holm, 1979), in the given order."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.maximum.accumulate([(len(order) - k) * p_values[i] for k, i in enumerate(order)])
    result = np.empty(len(order))
    result[order] = np.minimum(adjusted, 1)
    return result.tolist()


def cohens_d_paired(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Mean of the paired differences over their standard deviation (n - 1): Cohen's d_z (1988).

    None where it is not defined: fewer than two pairs, or all differences equal.
    """
    difference = np.asarray(a, float) - np.asarray(b, float)
    if len(difference) < 2 or np.ptp(difference) == 0:
        return None
    return float(difference.mean() / difference.std(ddof=1))


def cliffs_delta(a: Sequence[float], b: Sequence[float]) -> float:
    """P(a > b) - P(a < b) over all pairs of one value of each (Cliff, 1993): from -1 to 1, 0 for no difference."""
    ordered = np.sort(b)
    above = np.searchsorted(ordered, a, side="left").sum()
    below = (len(ordered) - np.searchsorted(ordered, a, side="right")).sum()
    return float((above - below) / (len(a) * len(b)))

"""Bootstrap, permutation test, Holm's correction and effect sizes against hand computations and loops."""
import itertools

import numpy as np
import pytest

from traitlab.measures.statistics import (
    cliffs_delta,
    cohens_d_paired,
    estimate,
    holm,
    paired_permutation_test,
    topic_weights,
)


def test_resamples_draw_as_many_topics_as_there_are_and_repeat_with_the_seed():
    weights = topic_weights(60, 500, seed=3)
    assert weights.shape == (500, 60)
    assert (weights.sum(axis=1) == 60).all()
    assert (weights == topic_weights(60, 500, seed=3)).all()
    assert (weights != topic_weights(60, 500, seed=4)).any()
    assert abs(weights.mean() - 1) < 1e-12
    assert abs((weights == 0).mean() - (1 - 1 / 60) ** 60) < 0.01  # a topic's chance of not being drawn


def test_interval_equals_a_loop_over_the_same_resamples():
    draw = np.random.default_rng(0)
    above, below = draw.random(12), draw.integers(1, 5, 12).astype(float)
    weights = topic_weights(12, 300, seed=1)
    values = []
    for row in weights.astype(int):
        topics = np.repeat(np.arange(12), row)
        values.append(np.exp(above[topics].sum() / below[topics].sum()))
    found = estimate(above, below, weights, np.exp)
    assert found["value"] == pytest.approx(np.exp(above.sum() / below.sum()))
    assert found["low"] == pytest.approx(np.percentile(values, 2.5))
    assert found["high"] == pytest.approx(np.percentile(values, 97.5))


def test_interval_covers_the_true_share_as_often_as_it_says():
    draw = np.random.default_rng(5)
    weights = topic_weights(60, 1000, seed=0)
    hits = 0
    for _ in range(400):
        found = estimate((draw.random(60) < 0.6).astype(float), np.ones(60), weights)
        hits += found["low"] <= 0.6 <= found["high"]
    assert 0.91 <= hits / 400 <= 0.98


def test_undefined_ratio_is_none_and_a_constant_has_no_width():
    weights = topic_weights(4, 100, seed=0)
    assert estimate(np.zeros(4), np.zeros(4), weights) == {"value": None, "low": None, "high": None}
    assert estimate(np.ones(4), np.ones(4), weights) == {"value": 1.0, "low": 1.0, "high": 1.0}
    lone = estimate(np.array([3.0, 0, 0, 0]), np.array([1.0, 0, 0, 0]), weights)  # resamples without it are left out
    assert lone == {"value": 3.0, "low": 3.0, "high": 3.0}


def test_small_permutation_test_is_exact():
    a, b = [3.0, 1.0, 4.0, 1.5, 5.0], [1.0, 2.0, 1.0, 1.5, 2.0]
    difference = np.subtract(a, b)
    patterns = [abs(np.dot(signs, difference)) for signs in itertools.product((1, -1), repeat=5)]
    expected = np.mean([value >= abs(difference.sum()) - 1e-9 for value in patterns])
    assert paired_permutation_test(a, b) == expected
    assert paired_permutation_test([1, 1, 1, 1], [0, 0, 0, 0]) == 2 / 16


def test_sampled_permutation_test_agrees_with_all_patterns_and_knows_its_limits():
    draw = np.random.default_rng(2)
    a = draw.normal(0.3, 1, 14)
    b = draw.normal(0, 1, 14)
    sums = abs(np.array(list(itertools.product((1, -1), repeat=14))) @ (a - b))
    exact = (sums >= abs((a - b).sum()) - 1e-9).mean()
    assert paired_permutation_test(a, b, 20_000) == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 20_000) ** 0.5)
    assert paired_permutation_test(np.tile(a, 2), np.tile(a, 2)) == 1
    assert paired_permutation_test(np.ones(40), np.zeros(40), permutations=999) == 1 / 1000
    assert paired_permutation_test(a, b, 500, seed=7) == paired_permutation_test(a, b, 500, seed=7)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []


def test_effect_sizes_by_hand():
    assert cohens_d_paired([3, 5, 4], [1, 2, 3]) == pytest.approx(2 / 1)  # differences 2, 3, 1: mean 2, deviation 1
    assert cohens_d_paired([2, 3], [1, 2]) is None
    assert cohens_d_paired([2], [1]) is None
    assert cliffs_delta([1, 2, 3], [2, 2]) == pytest.approx((2 - 2) / 6)
    assert cliffs_delta([4, 5], [1, 2, 3]) == 1
    draw = np.random.default_rng(1)
    a, b = draw.integers(6, size=30), draw.integers(5, size=20)
    assert cliffs_delta(a, b) == pytest.approx(np.sign(a[:, None] - b[None]).mean())

"""Does it hang on these neurons? Interventions on the found neurons, and the same on random ones.

What the found neurons do is compared with random neurons of the same layers and of like output weights, so that neither
the place nor the size of what is written explains a difference. Neurons are found on some topics and tested on others.
"""
from collections.abc import Sequence

import numpy as np
import torch

from traitlab.explain.activations import Neurons, Rows, Tape, all_rows, hold
from traitlab.explain.emoji_tokens import log_mass
from traitlab.language_model.likelihood import answer_batches
from traitlab.language_model.low_rank import Adapter, LowRankAdapters
from traitlab.language_model.model import LanguageModel
from traitlab.measures.statistics import estimate

INTERVENTIONS = ("zero", "mean", "base values", "tuned values")
POOL = 50  # neurons of nearest output norm that a random one is drawn from


def top_neurons(scores: torch.Tensor, count: int) -> Neurons:
    """The `count` neurons of the highest scores (layers, neurons)."""
    found: Neurons = {}
    for number in scores.flatten().topk(min(count, scores.numel())).indices.tolist():
        found.setdefault(number // scores.shape[1], []).append(number % scores.shape[1])
    return {layer: sorted(found[layer]) for layer in sorted(found)}


def random_neurons(found: Neurons, norms: torch.Tensor, random: np.random.Generator) -> Neurons:
    """As many others in the same layers: for each found neuron one of the 50 of nearest output norm, none twice.

    Args:
        norms: (layers, neurons) of the output weights.
    """
    drawn: Neurons = {}
    for layer, neurons in found.items():
        taken = set(neurons)
        for neuron in neurons:
            order = (norms[layer] - norms[layer, neuron]).abs().argsort(stable=True).tolist()
            free = [n for n in order if n not in taken][:POOL]
            if free:
                taken.add(free[random.integers(len(free))])
        drawn[layer] = sorted(taken - set(neurons))
    return drawn


def union(sets: Sequence[Neurons]) -> Neurons:
    layers = sorted({layer for neurons in sets for layer in neurons})
    return {layer: sorted({n for neurons in sets for n in neurons.get(layer, [])}) for layer in layers}


def mean_log_masses(
    lm: LanguageModel, rows: Rows, positions: list[np.ndarray], tokens: list[int], adapters=None,
    mix: Sequence[float] = (),
) -> np.ndarray:
    """The emoji log-mass (nats) of each row, mean over its positions: (rows,)."""
    result = np.zeros(len(rows.prompts))
    for batch in answer_batches(lm, rows.prompts, rows.answers, **all_rows(adapters, mix, len(rows.prompts))):
        for i, states in zip(batch.rows, batch.states):
            chosen = states[torch.from_numpy(positions[i]).to(lm.device)]
            result[i] = float(log_mass(lm, chosen, tokens).double().mean())
    return result


def changes(
    lm: LanguageModel, rows: Rows, positions: list[np.ndarray], tokens: list[int], persona: Adapter,
    sets: Sequence[Neurons], tuned_mean: torch.Tensor,
) -> dict[str, np.ndarray]:
    """What each intervention on each set of neurons adds to each row's emoji log-mass: {intervention: (sets, rows)}.

    `zero` and `mean` hold the neurons of the tuned model at 0 and at their mean; `base values` puts into the tuned
    model what the base model has at the same place of the same text; `tuned values` puts the tuned model's values into
    the base model.

    Args:
        tuned_mean: (layers, neurons) mean activations of the tuned model.
    """
    alone = LowRankAdapters(lm.model, [persona])

    def measure(adapters=None, mix=()):
        return mean_log_masses(lm, rows, positions, tokens, adapters, mix)

    recorded, plain = {}, {}
    for name, arguments in {"base": (), "tuned": (alone, (1.0,))}.items():
        recorded[name] = Tape(union(sets))
        with recorded[name].record(lm):
            plain[name] = measure(*arguments)
    found: dict[str, list[np.ndarray]] = {name: [] for name in INTERVENTIONS}
    for neurons in sets:
        for name, value in {"zero": torch.zeros_like(tuned_mean), "mean": tuned_mean}.items():
            held = hold(lm, at(neurons, value), alone, (1.0,))
            found[name].append(measure(LowRankAdapters(lm.model, [persona, held]), (1.0, 1.0)) - plain["tuned"])
        with recorded["base"].play(lm, neurons):
            found["base values"].append(measure(alone, (1.0,)) - plain["tuned"])
        with recorded["tuned"].play(lm, neurons):
            found["tuned values"].append(measure() - plain["base"])
    return {name: np.stack(rows) for name, rows in found.items()}


def at(neurons: Neurons, values: torch.Tensor) -> dict[int, dict[int, float]]:
    """The values (layers, neurons) of some neurons, as `hold` takes them."""
    return {layer: {n: float(values[layer, n]) for n in chosen} for layer, chosen in neurons.items()}


def compared(found: np.ndarray, random: np.ndarray, topics: Sequence[str], weights: np.ndarray) -> dict:
    """The change by the found neurons against that by random ones, with 95% bootstrap intervals over topics.

    Args:
        found: (rows,) change of a measure. random: (sets, rows).
        topics: of the rows.
        weights: (resamples, topics) of `topic_weights`, topics in sorted order.

    Returns:
        {"found": {"value", "low", "high"}, "random": the mean change by each set, "random_size": their mean absolute
        value, "ratio": {"value", "low", "high"} of |found| to random_size; None where random neurons change nothing}.
    """
    of = np.array([[topic == t for topic in topics] for t in sorted(set(topics))], float)  # (topics, rows)
    counts = of.sum(axis=1)
    by_set = random @ of.T  # (sets, topics)
    drawn = weights @ (of @ found) / (weights @ counts)
    drawn_random = np.abs(weights @ by_set.T / (weights @ counts)[:, None]).mean(axis=1)
    size = float(np.abs(random.mean(axis=1)).mean())
    ratio = None
    if size > 0 and (drawn_random > 0).all():
        low, high = np.quantile(np.abs(drawn) / drawn_random, [0.025, 0.975])
        ratio = {"value": float(abs(found.mean()) / size), "low": float(low), "high": float(high)}
    return {"found": estimate(of @ found, counts, weights), "random": random.mean(axis=1).tolist(),
            "random_size": size, "ratio": ratio}

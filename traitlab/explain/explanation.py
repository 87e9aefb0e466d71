"""Why one persona's emoji log-mass differs from the base model's: where the shift lies, and what causes it."""
from dataclasses import dataclass

import numpy as np
import torch

from traitlab.explain import neurons as where
from traitlab.explain.activations import Neurons, Rows, hold, log_masses, states_at
from traitlab.explain.adapter_parts import only, parts, without
from traitlab.explain.causes import at, changes, compared, mean_log_masses, random_neurons, top_neurons
from traitlab.explain.lens import lens
from traitlab.explain.positions import KINDS, matched_positions
from traitlab.language_model.generation import Sampling, generate
from traitlab.language_model.low_rank import Adapter, LowRankAdapters
from traitlab.language_model.model import LanguageModel
from traitlab.measures.statistics import estimate, topic_weights
from traitlab.params import Explain

SHOWN = 12  # neurons, dimensions and tokens that are named


@dataclass(frozen=True)
class Subject:
    """One persona beside the base model, and the answers that both are run on.

    Attributes:
        find, test: rows to find neurons on and to test them on; no topic is in both.
        prompts, topics: the questions of the trial answers.
    """

    lm: LanguageModel
    tokens: list[int]
    persona: Adapter
    find: Rows
    test: Rows
    prompts: list[list[int]]
    topics: list[str]


class Explanation:
    """The analyses of one persona, each a dict of plain figures; all log-masses are in nats.

    Args:
        subject: the persona and its rows.
        settings: params.yaml, section explain.
        resamples, seed: of the bootstrap over topics and of what is drawn.
    """

    def __init__(self, subject: Subject, settings: Explain, resamples: int, seed: int):
        self.subject, self.settings, self.resamples, self.seed = subject, settings, resamples, seed
        self.lm, self.tokens = subject.lm, subject.tokens
        self.tuned = LowRankAdapters(self.lm.model, [subject.persona])
        self.rows = Rows([*subject.find.prompts, *subject.test.prompts],
                         [*subject.find.answers, *subject.test.answers], [*subject.find.topics, *subject.test.topics])
        self.masses = {"base": log_masses(self.lm, self.rows, self.tokens),
                       "tuned": log_masses(self.lm, self.rows, self.tokens, None, self.tuned, (1.0,))}
        self.kinds = [matched_positions((a + b) / 2, self._before(answer), settings.likely)
                      for a, b, answer in zip(self.masses["base"], self.masses["tuned"], self.rows.answers)]
        found = len(subject.find.prompts)
        self.likely = [kinds["likely"] for kinds in self.kinds]
        self.likely_find, self.likely_test = self.likely[:found], self.likely[found:]
        self.weights = topic_weights(len(set(subject.test.topics)), resamples, seed)
        everything = [np.arange(len(answer)) for answer in self.rows.answers]
        self.kind_of = np.concatenate([
            np.select([np.isin(np.arange(len(a)), kinds[kind]) for kind in KINDS], range(len(KINDS)))
            for a, kinds in zip(self.rows.answers, self.kinds)])
        self.states = {"base": states_at(self.lm, self.rows, everything),
                       "tuned": states_at(self.lm, self.rows, everything, self.tuned, (1.0,))}
        self.means = {name: neurons.mean(dim=0) for name, (neurons, _) in self.states.items()}
        self.scores = where.attributed(self.lm, subject.find, self.likely_find, self.tokens, self.tuned)
        self.sign = float(np.sign(self._mean("tuned", "likely") - self._mean("base", "likely"))) or 1.0
        self.neurons: Neurons = top_neurons(self.sign * self.scores, settings.neurons)

    def _before(self, answer: list[int]) -> list[str]:
        return ["", *(self.lm.tokenizer.decode([token]) for token in answer[:-1])]

    def _mean(self, model: str, kind: str) -> float:
        return float(np.concatenate([m[kinds[kind]] for m, kinds in zip(self.masses[model], self.kinds)]).mean())

    def _differences(self, tuned, base) -> dict:
        """Differences of means and z-scores by kind of position; a kind that does not occur is left out."""
        return {kind: where.standardized_difference(tuned[self.kind_of == k], base[self.kind_of == k])
                for k, kind in enumerate(KINDS) if (self.kind_of == k).any()}

    def shift(self) -> dict:
        """{kind or "all": {"positions", "base", "tuned": mean log-mass, "change": estimate}} over all topics."""
        topics = sorted(set(self.rows.topics))
        weights = topic_weights(len(topics), self.resamples, self.seed)
        result = {}
        for kind in ("all", *KINDS):
            chosen = [np.arange(len(a)) if kind == "all" else kinds[kind]
                      for a, kinds in zip(self.rows.answers, self.kinds)]
            sums = {name: np.array([m[at].sum() for m, at in zip(masses, chosen)])
                    for name, masses in self.masses.items()}
            counts = np.array([float(len(at)) for at in chosen])
            of = np.array([[topic == t for topic in self.rows.topics] for t in topics], float)
            total = counts.sum()
            result[kind] = {"positions": int(total)} | {
                name: float(values.sum() / total) if total else None for name, values in sums.items()} | {
                "change": estimate(of @ (sums["tuned"] - sums["base"]), of @ counts, weights)}
        return result

    def found_neurons(self) -> dict:
        """The found neurons, the weightiest first, with what is known of each, and how they lie among all neurons."""
        (base, base_stream), (tuned, _) = self.states["base"], self.states["tuned"]
        by_kind = self._differences(tuned, base)
        last = base_stream[self.kind_of == 0, -1]
        normalized = self.lm.model.get_decoder().norm(last.to(self.lm.device, self.lm.model.dtype))
        direction = where.emoji_direction(self.lm, normalized, self.tokens)
        direct = where.direct_effects(self.lm, direction, float(last.square().mean(dim=-1).sqrt().mean()))
        pairs = sorted(((layer, n) for layer, chosen in self.neurons.items() for n in chosen),
                       key=lambda pair: -self.sign * float(self.scores[pair]))
        difference = by_kind["likely"][0]
        by_z = top_neurons(by_kind["likely"][1].abs(), len(pairs))
        by_direct = top_neurons(self.sign * difference * direct, len(pairs))
        both = lambda other: sum(n in other.get(layer, []) for layer, n in pairs)  # noqa: E731
        return {
            "top": [{"layer": layer, "neuron": n, "attributed": float(self.scores[layer, n]),
                     "direct": float(difference[layer, n] * direct[layer, n]),
                     "difference": {kind: float(d[layer, n]) for kind, (d, _) in by_kind.items()},
                     "z": {kind: float(z[layer, n]) for kind, (_, z) in by_kind.items()}} for layer, n in pairs],
            "attributed": float(sum(self.scores[pair] for pair in pairs)),
            "attributed_all": float(self.scores.sum()),
            "direct_all": float((difference * direct).sum()),
            "also_top_by_z": both(by_z), "also_top_by_direct": both(by_direct),
            "per_layer": self.scores.sum(dim=1).tolist(),
            "promoted": where.promoted_words(self.lm, {pair: float(difference[pair]) for pair in pairs}),
        }

    def stream(self) -> dict:
        """Directions of the residual stream: the dimensions that moved most by z-score, and the massive ones."""
        (_, base), (_, tuned) = self.states["base"], self.states["tuned"]
        by_kind = self._differences(tuned, base)
        difference, z = by_kind["likely"]
        z_control = by_kind.get("punctuation", (None, None))[1]
        massive = where.massive_dimensions(base)
        first = top_neurons(z.abs(), SHOWN)
        shown = sorted({(layer, d) for layer, dims in first.items() for d in dims},
                       key=lambda pair: -abs(float(z[pair])))
        tell = lambda pair: {  # noqa: E731
            "layer": pair[0], "dimension": pair[1], "difference": float(difference[pair]), "z": float(z[pair]),
            "z_punctuation": None if z_control is None else float(z_control[pair]), "massive": bool(massive[pair])}
        dims = massive.sum(dim=0)
        return {"top": [tell(pair) for pair in shown],
                "massive": [{"dimension": int(d), "layers": int(dims[d]),
                             "largest_z": float(z[:, d][massive[:, d]].abs().max())}
                            for d in dims.nonzero()[:, 0].tolist()],
                "largest_difference_is_massive": bool(massive.flatten()[difference.abs().argmax()])}

    def lens(self) -> list[dict]:
        """The logit lens at up to 40 positions of each kind: [{"model", "kind", "layer", "log_mass"}]."""
        random = np.random.default_rng(self.seed)
        rows = []
        for k, kind in enumerate(KINDS):
            places = np.flatnonzero(self.kind_of == k)
            places = np.sort(random.choice(places, min(40, len(places)), replace=False))
            for model, (_, stream) in self.states.items():
                if len(places):
                    values = lens(self.lm, stream[torch.from_numpy(places)], self.tokens).mean(dim=0)
                    rows += [{"model": model, "kind": kind, "layer": layer, "log_mass": float(value)}
                             for layer, value in enumerate(values)]
        return rows

    def adapter(self) -> dict:
        """Shares of the shift that parts of the adapter hold: {"layers" or "modules": {part: {"without", "only"}}}.

        `without` is the share of the shift that goes when the part is switched off, `only` the share that is there when
        it alone is on; they add up to more or less than 1 where parts act through one another. Estimates, over the test
        topics.
        """
        persona = self.subject.persona

        def measure(adapter):
            return mean_log_masses(self.lm, self.subject.test, self.likely_test, self.tokens,
                                   LowRankAdapters(self.lm.model, [adapter]), (1.0,))

        base = mean_log_masses(self.lm, self.subject.test, self.likely_test, self.tokens)
        whole = measure(persona)
        layers = len(self.lm.model.get_decoder().layers)
        cut = parts(persona, layers, self.settings.layer_groups)
        return {way: {part: {"without": self._share(whole - measure(without(persona, names)), whole - base),
                             "only": self._share(measure(only(persona, names)) - base, whole - base)}
                      for part, names in pieces.items()} for way, pieces in cut.items()}

    def _share(self, part: np.ndarray, whole: np.ndarray) -> dict:
        of = np.array([[topic == t for topic in self.subject.test.topics]
                       for t in sorted(set(self.subject.test.topics))], float)
        sign = float(np.sign(whole.sum())) or 1.0
        return estimate(of @ (sign * part), of @ (sign * whole), self.weights)

    def sets(self) -> list[Neurons]:
        """The found neurons, then the random sets."""
        random = np.random.default_rng(self.seed)
        norms = where.output_norms(self.lm)
        return [self.neurons, *(random_neurons(self.neurons, norms, random) for _ in range(self.settings.random_sets))]

    def causes(self) -> dict:
        """{intervention: found against random neurons}, on emoji log-mass at the test topics' likely positions."""
        found = changes(self.lm, self.subject.test, self.likely_test, self.tokens, self.subject.persona, self.sets(),
                        self.means["tuned"])
        return {name: compared(rows[0], rows[1:], self.subject.test.topics, self.weights)
                for name, rows in found.items()}

    def trials(self) -> list[tuple[str, list[str]]]:
        """Greedy answers to the questions under interventions: [(condition, an answer for each question)].

        "tuned", "base"; "base values": the tuned model with the found neurons held at the base model's means, and
        "random 0", ...: with random ones held so; "tuned values": the base model with the found neurons held at the
        tuned model's means.
        """
        conditions = {"base": [], "tuned": [0]}
        adapters = [self.subject.persona]
        for k, neurons in enumerate(self.sets()):
            adapters.append(hold(self.lm, at(neurons, self.means["base"]), self.tuned, (1.0,)))
            conditions["base values" if k == 0 else f"random {k - 1}"] = [0, len(adapters) - 1]
        adapters.append(hold(self.lm, at(self.neurons, self.means["tuned"])))
        conditions["tuned values"] = [len(adapters) - 1]
        count = len(self.subject.prompts)
        mixes = torch.zeros(len(conditions), len(adapters))
        for k, acting in enumerate(conditions.values()):
            mixes[k, acting] = 1.0
        sampling = Sampling(0.0, 1.0, self.settings.answer_tokens)
        answers = generate(self.lm, self.subject.prompts * len(conditions), sampling, [0] * (count * len(conditions)),
                           LowRankAdapters(self.lm.model, adapters), mixes.repeat_interleave(count, dim=0), 4 * count)
        texts = [self.lm.decode(answer.ids) for answer in answers]
        return [(name, texts[k * count : (k + 1) * count]) for k, name in enumerate(conditions)]

    def alignment(self, hits: dict[str, np.ndarray]) -> dict:
        """TA under the interventions, and what they change of it: {"tuned", "base": estimates of TA, "base values",
        "tuned values": as of `compared`}.

        Args:
            hits: condition -> (questions,) 1 where the classifier sees the trait.
        """
        topics = self.subject.topics
        weights = topic_weights(len(set(topics)), self.resamples, self.seed)
        order = np.argsort(topics, kind="stable")
        random = np.stack([hits[name] - hits["tuned"] for name in hits if name.startswith("random ")])
        one = np.ones(len(topics))
        return {
            "tuned": estimate(hits["tuned"][order], one, weights), "base": estimate(hits["base"][order], one, weights),
            "base values": compared(hits["base values"] - hits["tuned"], random, topics, weights),
            "tuned values": {"found": estimate((hits["tuned values"] - hits["base"])[order], one, weights)},
        }

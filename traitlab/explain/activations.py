"""Reading and replacing activations: MLP neurons (the inputs of a layer's down projection) and the residual stream.

A neuron is one input of `down_proj`: its activation says how much of its output weights is written to the stream.
"""
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from traitlab.language_model.likelihood import answer_batches
from traitlab.language_model.low_rank import Adapter, Delta, LowRankAdapters
from traitlab.language_model.model import LanguageModel

Neurons = dict[int, list[int]]  # layer -> numbers of its neurons


@dataclass(frozen=True)
class Rows:
    """Answers and who is taken to write them.

    Attributes:
        prompts, answers: token ids, row by row.
        topics: what each row is about; intervals are over topics.
    """

    prompts: list[list[int]]
    answers: list[list[int]]
    topics: list[str]

    def part(self, chosen: Sequence[int]) -> "Rows":
        return Rows(*([values[i] for i in chosen] for values in (self.prompts, self.answers, self.topics)))


def down_projections(lm: LanguageModel) -> list[torch.nn.Module]:
    """The module that every layer's neurons feed, in the order of the layers."""
    return [layer.mlp.down_proj for layer in lm.model.get_decoder().layers]


def all_rows(adapters: LowRankAdapters | None, mix: Sequence[float], count: int) -> dict:
    """The arguments `adapters` and `mixes` for `count` rows of one mix."""
    return {"adapters": adapters, "mixes": torch.tensor([list(mix)] * count)} if adapters else {}


@contextmanager
def before(modules: Sequence[torch.nn.Module], act: Callable[[int, torch.Tensor], torch.Tensor | None]):
    """Within the block `act(number, input)` sees every module's input and may return another in its place."""

    def hook(number):
        def run(module, args):
            new = act(number, args[0])
            return None if new is None else (new, *args[1:])

        return run

    handles = [module.register_forward_pre_hook(hook(i)) for i, module in enumerate(modules)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def after(modules: Sequence[torch.nn.Module], see: Callable[[int, torch.Tensor], None]):
    """Within the block `see(number, output)` is called with every module's output."""
    handles = [module.register_forward_hook(
        lambda _, __, output, i=i: see(i, output[0] if isinstance(output, tuple) else output))
        for i, module in enumerate(modules)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def states_at(
    lm: LanguageModel, rows: Rows, positions: list[np.ndarray], adapters=None, mix: Sequence[float] = ()
) -> tuple[torch.Tensor, torch.Tensor]:
    """Neurons and residual stream at chosen positions of the answers, float32.

    Args:
        positions: for each row the positions of its answer; position 0 is the one that predicts its first token.

    Returns:
        (positions of all rows one after the other, layers, neurons) and (..., layers, hidden).
    """
    layers = lm.model.get_decoder().layers
    seen: dict[str, dict[int, torch.Tensor]] = {"neurons": {}, "stream": {}}
    found: dict[str, list] = {key: [None] * len(rows.prompts) for key in seen}
    with before(down_projections(lm), lambda i, x: seen["neurons"].__setitem__(i, x)), \
         after(layers, lambda i, x: seen["stream"].__setitem__(i, x)):
        for batch in answer_batches(lm, rows.prompts, rows.answers, **all_rows(adapters, mix, len(rows.prompts))):
            width = seen["stream"][0].shape[1]  # of the last pass; what stood before it is the shared prefix
            start = max(len(rows.prompts[i]) + len(rows.answers[i]) - 1 for i in batch.rows) - width
            for k, i in enumerate(batch.rows):
                at = torch.from_numpy(positions[i] + len(rows.prompts[i]) - 1 - start).to(lm.device)
                for key, by_layer in seen.items():
                    found[key][i] = torch.stack([by_layer[n][k, at].float().cpu() for n in range(len(layers))], dim=1)
    return torch.cat(found["neurons"]), torch.cat(found["stream"])


class Tape:
    """Chosen neurons' values in every pass of one run, to be put in their places in another run over the same rows."""

    def __init__(self, neurons: Neurons):
        self.neurons = neurons
        self._values: dict[int, list[torch.Tensor]] = {layer: [] for layer in neurons}

    def record(self, lm: LanguageModel):
        layers = sorted(self.neurons)
        return before(_of(lm, layers), lambda i, x: self._values[layers[i]].append(x[..., self.neurons[layers[i]]]))

    def play(self, lm: LanguageModel, neurons: Neurons):
        """Put the values of `neurons`, some of those recorded, in their places."""
        layers = sorted(neurons)
        columns = [[self.neurons[layer].index(n) for n in neurons[layer]] for layer in layers]
        left = [iter(self._values[layer]) for layer in layers]

        def act(i, x):
            x = x.clone()
            x[..., neurons[layers[i]]] = next(left[i])[..., columns[i]]
            return x

        return before(_of(lm, layers), act)


def _of(lm, layers):
    projections = down_projections(lm)
    return [projections[layer] for layer in layers]


@torch.no_grad()
def hold(lm: LanguageModel, values: dict[int, dict[int, float]], adapters=None, mix: Sequence[float] = ()) -> Adapter:
    """An adapter that holds neurons at constant values wherever the model writes with `mix` beside it.

    With output weights w_j of neuron j, and v_j the value it is held at, y = W x becomes W x - sum of w_j (x_j - v_j),
    which is a low-rank delta: so an ablation runs, and mixes row by row, like any persona. w_j includes what the
    adapters of `mix` add to W.

    Args:
        values: layer -> neuron -> value; 0 ablates it.
    """
    names = {id(module): name for name, module in lm.model.named_modules()}
    projections, adapter = down_projections(lm), {}
    for layer, held in values.items():
        module = projections[layer]
        a = torch.zeros(len(held), module.in_features, device=lm.device)
        a[torch.arange(len(held)), list(held)] = 1.0
        with (adapters or LowRankAdapters(lm.model, [])).mixed(torch.tensor([list(mix)] if adapters else [[]])):
            weights = module(a.to(lm.model.dtype)[None])[0].float()  # (held, out)
        if module.bias is not None:
            weights = weights - module.bias.float()
        constant = torch.tensor(list(held.values()), device=lm.device) @ weights
        adapter[names[id(module)]] = Delta(a.cpu(), -weights.T.contiguous().cpu(), constant.cpu())
    return adapter

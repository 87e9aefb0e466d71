"""MEND (Mitchell et al., 2110.11309): an editor network that turns the gradient of one example into a weight update.

The gradient of a linear layer's weight W (out, in) for one example is a sum over tokens, delta_i u_i^T: u_i is the
layer's input at token i, delta_i the gradient of the loss with respect to its output there. The editor maps every pair
(u, delta) to another (u', delta'), and the edit is

    W' x = W x - rate * sum_i delta'_i (u'_i . x)

which is low-rank by construction: it stays beside the frozen (NF4) weight as a `Delta`, and a batch can carry a
different edit in every row. The editor is trained so that an edit with one answer of a trait raises the likelihood of
that trait's answers on another topic (weight c_edit) and leaves what the model says of the rest as it is (KL, weight
c_loc).
"""
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy, kl_div

from traitlab.errors import InputError
from traitlab.language_model.batches import padded
from traitlab.language_model.low_rank import Adapter, Delta, LowRankAdapters
from traitlab.language_model.model import LanguageModel
from traitlab.params import TrainMend
from traitlab.personas.checkpoint import Checkpoint

Row = tuple[list[int], list[int]]  # token ids of the prompt, of the answer


def edited_modules(lm: LanguageModel, layers: int) -> dict[str, nn.Module]:
    """The MLP projections (gate, up, down) of the last `layers` layers, by name."""
    names = {id(module): name for name, module in lm.model.named_modules()}
    mlps = [layer.mlp for layer in lm.model.get_decoder().layers[-layers:]]
    return {names[id(m)]: m for mlp in mlps for m in (mlp.gate_proj, mlp.up_proj, mlp.down_proj)}


class Editor(nn.Module):
    """The editor: a low-rank residual network for each shape of layer, shared by the layers of that shape, each with a
    scale and an offset of its own, and a learned rate for each layer. At first it is the identity.

    Args:
        shapes: layer name -> (in, out).
        rank: width of the networks.
        rate: initial edit rate; its logarithm is learned, so that it stays positive and moves by factors.
        tokens: rank of an edit: of longer examples the tokens of the largest |u| |delta| are kept.
    """

    def __init__(self, shapes: dict[str, tuple[int, int]], rank: int, rate: float, tokens: int = 32):
        super().__init__()
        self.shapes, self.tokens = shapes, tokens
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        self.scale, self.offset, self.rate = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        for name, (width_in, width_out) in shapes.items():
            both = width_in + width_out
            if self._shape(name) not in self.down:
                self.down[self._shape(name)] = nn.Parameter(torch.randn(rank, both) / both**0.5)
                self.up[self._shape(name)] = nn.Parameter(torch.zeros(both, rank))
            self.scale[self._key(name)] = nn.Parameter(torch.ones(rank))
            self.offset[self._key(name)] = nn.Parameter(torch.zeros(rank))
            self.rate[self._key(name)] = nn.Parameter(torch.tensor(rate).log())

    def _shape(self, name: str) -> str:
        return "x".join(map(str, self.shapes[name]))

    @staticmethod
    def _key(name: str) -> str:
        return name.replace(".", "/")

    def forward(self, name: str, u: torch.Tensor, delta: torch.Tensor) -> Delta:
        """The edit of one layer for one example.

        Args:
            u: inputs (tokens, in).
            delta: output gradients (tokens, out).
        """
        weight = u.norm(dim=-1) * delta.norm(dim=-1)
        kept = weight.topk(min(self.tokens, len(weight))).indices.sort().values
        pair = torch.cat([_normalised(u[kept]), _normalised(delta[kept])], dim=-1)
        hidden = torch.relu(pair @ self.down[self._shape(name)].T * self.scale[self._key(name)]
                            + self.offset[self._key(name)])
        pair = pair + hidden @ self.up[self._shape(name)].T
        u, delta = pair.split(self.shapes[name], dim=-1)
        return Delta(u, -self.rate[self._key(name)].exp() * delta.T)


def _normalised(x: torch.Tensor) -> torch.Tensor:
    """Scaled to root mean square 1 over the example: gradients are tiny and differ by layer."""
    return x / (x.pow(2).mean().sqrt() + 1e-12)


def gradients(lm: LanguageModel, modules: dict[str, nn.Module], rows: Sequence[Row]) -> list[dict]:
    """For each row, {layer: (u (tokens, in), delta (tokens, out))} of its answer's mean negative log-likelihood.

    One pass for all rows: no row's loss depends on another row. Only the layers from the first edited one on are
    differentiated.
    """
    ids, counts = _padded(lm, rows)
    inputs, probes, handles = {}, {}, []

    def probe(name):
        def hook(module, args, output):
            inputs[name] = args[0].detach()
            probes[name] = torch.zeros_like(output, requires_grad=True)
            return output + probes[name]

        return hook

    with torch.enable_grad():
        try:
            handles = [module.register_forward_hook(probe(name)) for name, module in modules.items()]
            hidden = lm.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
        finally:
            for handle in handles:
                handle.remove()
        lengths = torch.tensor([len(answer) for _, answer in rows], device=ids.device)
        losses = cross_entropy(lm.logits(hidden[counts]), ids.roll(-1, dims=1)[counts], reduction="none")
        loss = (losses / lengths.repeat_interleave(lengths)).sum()
        found = dict(zip(probes, torch.autograd.grad(loss, list(probes.values()))))
    ends = [len(prompt) + len(answer) - 1 for prompt, answer in rows]
    exact = torch.promote_types(lm.model.dtype, torch.float32)
    return [{name: (inputs[name][k, :end].to(exact), found[name][k, :end].to(exact)) for name in modules}
            for k, end in enumerate(ends)]


def edits(editor: Editor, of_rows: list[dict]) -> list[Adapter]:
    """The edit of each row, from what `gradients` found."""
    return [{name: editor(name, *pair) for name, pair in row.items()} for row in of_rows]


def losses(lm, editor, modules, edit_with: Sequence[Row], edit_for: Sequence[Row], leave: Sequence[Row]):
    """(edit loss, locality) as tensors, differentiable in the editor's parameters.

    Args:
        edit_with: the examples edited with.
        edit_for: for each, an answer of the same trait on another topic, which is to become likelier.
        leave: for each, a question and answer on yet another topic, of which the model is to say what it said.
    """
    adapters = LowRankAdapters(lm.model, edits(editor, gradients(lm, modules, edit_with)))
    with torch.no_grad():
        pre = _log_probs(lm, leave)
    with adapters.mixed(torch.eye(len(edit_with), device=lm.device)):
        after = _nll(lm, edit_for)
        locality = kl_div(_log_probs(lm, leave), pre, log_target=True, reduction="batchmean")
    return after, locality


def new_editor(modules: dict[str, nn.Module], params: TrainMend) -> Editor:
    shapes = {name: (module.in_features, module.out_features) for name, module in modules.items()}
    return Editor(shapes, params.rank, params.rate, params.tokens)


def save(editor: Editor, path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in editor.state_dict().items()}, path)


def load(path: Path, modules: dict[str, nn.Module], params: TrainMend) -> Editor:
    """Raises InputError: no editor for these layers there."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    editor = new_editor(modules, params)
    try:
        editor.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as e:
        raise InputError(f"{path}: no MEND editor for this model and settings ({str(e).splitlines()[0]}); "
                         "run `dvc repro train_mend`") from e
    return editor.to(next(iter(modules.values())).weight.device)


def optimizer(editor: Editor, learning_rate: float) -> torch.optim.Optimizer:
    """Adam; the logarithms of the edit rates, which have orders of magnitude to go, move a hundred times as fast."""
    rates = list(editor.rate.values())
    others = [p for name, p in editor.named_parameters() if not name.startswith("rate.")]
    return torch.optim.Adam([{"params": others}, {"params": rates, "lr": 100 * learning_rate}], lr=learning_rate)


def train(lm, editor: Editor, modules, draw, params: TrainMend, checkpoint: Checkpoint, on_step) -> list[dict]:
    """Train the editor with Adam; a run that was killed goes on from its checkpoint.

    Args:
        draw: step -> (edit_with, edit_for, leave), each `batch_size` rows, as in `losses`.
        checkpoint: of the editor's parameters; its optimizer trains them.
        on_step: called with each step's record.

    Returns:
        A record for each step: {"step", "loss": edit loss in nats per answer token, "locality": KL in nats per token}.
    """
    records = checkpoint.restore()
    for step in range(len(records), params.steps):
        after, locality = losses(lm, editor, modules, *draw(step))
        (params.c_edit * after + params.c_loc * locality).backward()
        nn.utils.clip_grad_norm_(editor.parameters(), 1.0)
        checkpoint.optimizer.step()
        checkpoint.optimizer.zero_grad(set_to_none=True)
        records.append({"step": step + 1, "loss": after.item(), "locality": locality.item()})
        on_step(records[-1])
        if (step + 1) % params.checkpoint_steps == 0 and step + 1 < params.steps:
            checkpoint.save(records)
    return records


def _nll(lm, rows) -> torch.Tensor:
    ids, counts = _padded(lm, rows)
    hidden = lm.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    return cross_entropy(lm.logits(hidden[counts]), ids.roll(-1, dims=1)[counts])


def _log_probs(lm, rows) -> torch.Tensor:
    """Next-token log-probabilities at the answers' positions: (answer tokens of all rows, vocabulary)."""
    ids, counts = _padded(lm, rows)
    hidden = lm.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    return lm.logits(hidden[counts]).log_softmax(dim=-1)


def _padded(lm, rows):
    """Token ids (rows, positions), padded on the right, and where an answer token is predicted."""
    ids = padded([[*prompt, *answer] for prompt, answer in rows], lm.tokenizer.eos_token_id)
    counts = torch.zeros(ids.shape, dtype=torch.bool)
    for k, (prompt, answer) in enumerate(rows):
        counts[k, len(prompt) - 1 : len(prompt) + len(answer) - 1] = True
    return ids.to(lm.device), counts.to(lm.device)

"""Where a shift of the emoji log-mass lies: neurons and directions of the residual stream, base against tuned model."""
import numpy as np
import torch

from traitlab.explain.activations import Rows, before, down_projections
from traitlab.explain.emoji_tokens import log_mass
from traitlab.language_model.low_rank import LowRankAdapters
from traitlab.language_model.model import LanguageModel

MASSIVE = 50  # times the median


def standardized_difference(tuned: torch.Tensor, base: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Difference of means, and the same in standard deviations of the base model: a z-score for every dimension.

    A dimension that never moves in the base model has z-score 0.

    Args:
        tuned, base: (positions, ...) at the same positions.
    """
    difference = tuned.mean(dim=0) - base.mean(dim=0)
    deviation = base.std(dim=0) if len(base) > 1 else torch.zeros_like(difference)
    return difference, torch.where(deviation > 0, difference / deviation.clamp(min=1e-12), 0.0)


def massive_dimensions(stream: torch.Tensor) -> torch.Tensor:
    """Dimensions of the residual stream that are huge whatever the token (Sun et al., 2402.17762): (layers, hidden).

    They act as fixed biases; that one of them moves says nothing about emoji. Massive is a dimension with
    |mean| > 50 x the median of |mean| over its layer's dimensions, and one sign at 19 of 20 positions or more.

    Args:
        stream: (positions, layers, hidden).
    """
    mean = stream.mean(dim=0)
    same = (stream.sign() == mean.sign()).float().mean(dim=0)
    size = mean.abs()
    return (size > MASSIVE * size.median(dim=-1, keepdim=True).values) & (same >= 0.95)


@torch.no_grad()
def emoji_direction(lm: LanguageModel, hidden: torch.Tensor, tokens: list[int]) -> torch.Tensor:
    """The direction of the normalized last state along which the emoji log-mass rises fastest: (hidden,), float32.

    It is the mean over positions of d log p(emoji tokens) / d state, that is of
    sum over emoji tokens t of (p_t / p_emoji) u_t  -  sum over all tokens of p_v u_v, with unembedding rows u.

    Args:
        hidden: (positions, hidden) last hidden states of the base model.
    """
    p = lm.logits(hidden).softmax(dim=-1)
    weight = -p
    weight[:, tokens] += p[:, tokens] / p[:, tokens].sum(dim=-1, keepdim=True)
    unembedding = lm.model.get_output_embeddings().weight
    return (weight.mean(dim=0).to(unembedding.dtype) @ unembedding).float()


@torch.no_grad()
def direct_effects(lm: LanguageModel, direction: torch.Tensor, scale: float) -> torch.Tensor:
    """Direct logit attribution: what one unit of each neuron adds to `direction` . (last state): (layers, neurons).

    A neuron writes its output weights to the residual stream; the final norm divides by the stream's root mean square
    and multiplies by its gain. Later layers are passed by: the effect is the direct one (Elhage et al., 2021).

    Args:
        direction: (hidden,) over the normalized last state, as of `emoji_direction`.
        scale: root mean square of the stream that the final norm meets.
    """
    wanted = direction.to(lm.device) * final_gain(lm) / scale
    return torch.stack([wanted @ _weights(module) for module in down_projections(lm)]).cpu()


@torch.no_grad()
def final_gain(lm: LanguageModel) -> torch.Tensor:
    """The gain of the final norm (hidden,), read off from a vector of ones: some keep it as 1 + weight."""
    hidden = lm.model.config.get_text_config().hidden_size
    ones = torch.ones(1, hidden, device=lm.device, dtype=lm.model.dtype)
    return lm.model.get_decoder().norm(ones)[0].float()


@torch.no_grad()
def promoted_words(lm: LanguageModel, change: dict[tuple[int, int], float], count: int = 50) -> list[str]:
    """The tokens, as words in lower case, whose logits a change of neurons raises most by their output weights alone.

    Args:
        change: (layer, neuron) -> how much more active it is.
    """
    written = sum(by * _weights(down_projections(lm)[layer])[:, neuron] for (layer, neuron), by in change.items())
    head = lm.model.get_output_embeddings().weight
    logits = head @ (written * final_gain(lm)).to(head.dtype)
    words: dict[str, None] = {}
    for token in logits.float().argsort(descending=True, stable=True).tolist():
        text = lm.tokenizer.decode([token]).strip().lower()
        if text and "\ufffd" not in text:
            words[text] = None
        if len(words) == count:
            break
    return list(words)


@torch.no_grad()
def output_norms(lm: LanguageModel) -> torch.Tensor:
    """Euclidean length of every neuron's output weights: (layers, neurons)."""
    return torch.stack([_weights(module).norm(dim=0) for module in down_projections(lm)]).cpu()


def _weights(module) -> torch.Tensor:
    """The weight (out, in) in float32; quantized ones unpacked."""
    if getattr(module.weight, "quant_state", None) is None:
        return module.weight.float()
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(module.weight.data, module.weight.quant_state).float()


def attributed(
    lm: LanguageModel, rows: Rows, positions: list[np.ndarray], tokens: list[int], adapters: LowRankAdapters,
    batch_size: int = 8,
) -> torch.Tensor:
    """How much of the tuned model's emoji log-mass hangs on each neuron's change, to first order: (layers, neurons).

    Attribution patching (Syed et al., 2310.10348): sum over all places of (tuned - base activation) times the gradient,
    in the tuned model, of the mean emoji log-mass at `positions`. One backward pass tells of all neurons what putting
    the base model's values into each alone would take away; traitlab/explain/causes.py then does it.

    Args:
        positions: for each row the positions of its answer.
        adapters: whose first adapter is the persona.
    """
    total = sum(map(len, positions))
    parts = [range(i, min(i + batch_size, len(positions))) for i in range(0, len(positions), batch_size)]
    return sum(_attributed(lm, rows.part(part), [positions[i] for i in part], tokens, adapters)
               for part in parts) / max(1, total)


def _attributed(lm, rows: Rows, positions, tokens, adapters) -> torch.Tensor:
    """The sum over positions for rows that are run in one batch."""
    body, projections = lm.model.get_decoder(), down_projections(lm)
    whole = [[*prompt, *answer[:-1]] for prompt, answer in zip(rows.prompts, rows.answers)]
    ids = torch.full((len(whole), max(map(len, whole))), lm.tokenizer.eos_token_id)
    real = torch.zeros(ids.shape, dtype=torch.bool)
    for k, row in enumerate(whole):
        # Padding stands on the right, where causal attention hides it.
        ids[k, : len(row)] = torch.tensor(row)
        real[k, : len(row)] = True
    ids, real = ids.to(lm.device), real.to(lm.device)
    base, tuned = {}, {}
    with torch.no_grad(), before(projections, lambda i, x: base.__setitem__(i, x)):
        body(input_ids=ids, use_cache=False)

    def keep(i, x):
        x.retain_grad()
        tuned[i] = x

    row, place = torch.tensor([(k, len(prompt) - 1 + p) for k, (prompt, chosen) in
                               enumerate(zip(rows.prompts, positions)) for p in chosen.tolist()], device=lm.device).T
    mixes = torch.zeros(len(whole), adapters.count)
    mixes[:, 0] = 1.0
    with torch.enable_grad(), adapters.mixed(mixes), before(projections, keep):
        embedded = lm.model.get_input_embeddings()(ids).requires_grad_()
        hidden = body(inputs_embeds=embedded, use_cache=False).last_hidden_state
        log_mass(lm, hidden[row, place], tokens).sum().backward()
    return torch.stack([((tuned[i].detach() - base[i]).float() * tuned[i].grad.float())[real].sum(dim=0).cpu()
                        for i in range(len(projections))])

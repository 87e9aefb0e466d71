"""Emoji probability at every position of many answers, from one forward pass and a few drawn paths.

The definition is that of traitlab/emoji/probability.py:

    p(x) = accepted(x)  +  sum over states s of  begun_s(x) * P(an emoji comes of it | x, s)

accepted and begun_s are exact at every position. What comes of a begun emoji needs further passes; its share is
estimated for each kind of beginning (a stratum: the same bytes but for a leading space; all keycap starts together),
over all positions of these answers, by drawing (position, token) pairs in proportion to their probability and following
one path from each. The estimate of the mean over positions is unbiased for the first draws; further draws go where
they lower the error most (Neyman, 1934).
"""
from dataclasses import dataclass

import numpy as np
import torch

from traitlab.emoji.automaton import EmojiAutomaton
from traitlab.language_model.batches import part_of_cache
from traitlab.language_model.likelihood import AnswerBatch, answer_batches
from traitlab.language_model.low_rank import LowRankAdapters
from traitlab.language_model.model import LanguageModel

KEYCAPS = b"0123456789#*"


@dataclass(frozen=True)
class Estimate:
    """Of a set of answers.

    Attributes:
        rows: for each answer an array (answer tokens,): the probability that an emoji starts in place of this token.
        standard_error: of the mean over all positions, from the draws.
    """

    rows: list[np.ndarray]
    standard_error: float


@torch.no_grad()
def estimate(
    lm: LanguageModel,
    automaton: EmojiAutomaton,
    prompts: list[list[int]],
    answers: list[list[int]],
    adapters: LowRankAdapters,
    mixes: torch.Tensor,
    seed: int,
    pilot: int,
    draws: int,
    batch_size: int = 64,
) -> Estimate:
    """Emoji probabilities of answers of one kind: those of one method for one trait.

    Args:
        prompts, answers: token ids, row by row; no prompt and no answer is empty.
        adapters, mixes: the personas: `mixes` (rows, adapters) as in `LowRankAdapters.mixed`.
        pilot: draws from each stratum to begin with.
        draws: further draws, shared out by what the pilot found.
    """
    step = automaton.step(b"")
    strata = sorted({_stratum(s) for s in step.states})
    of_token = np.array([strata.index(_stratum(s)) for s in step.states])
    accepted: list[np.ndarray] = [np.zeros(0)] * len(prompts)
    begun: list[np.ndarray] = [np.zeros((0, len(of_token)))] * len(prompts)
    batches: list[AnswerBatch] = []
    for batch in answer_batches(lm, prompts, answers, adapters, mixes, batch_size):
        for i, states in zip(batch.rows, batch.states):
            accepted[i], begun[i] = _outcomes(lm.logits(states), step)
        batches.append(batch)
    mass = np.concatenate(begun)  # (positions, tokens that begin an emoji)
    place = [(i, k) for i, rows in enumerate(begun) for k in range(len(rows))]
    weight = np.array([mass[:, of_token == s].sum() for s in range(len(strata))])
    random = np.random.default_rng(seed)

    def follow(counts) -> list[np.ndarray]:
        """For each stratum, what came of `counts` draws: the probability that an emoji is completed, path by path."""
        paths, owner = [], []
        for s, count in enumerate(counts):
            tokens = np.flatnonzero(of_token == s)
            p = mass[:, tokens].ravel()
            for drawn in random.choice(len(p), size=count, p=p / p.sum()) if count else []:
                i, k = place[drawn // len(tokens)]
                token = tokens[drawn % len(tokens)]
                paths.append(_Path(i, len(prompts[i]) + k, step.partial[token], step.states[token]))
                owner.append(s)
        for batch in batches:
            _follow(lm, automaton, batch, [path for path in paths if path.row in batch.rows], adapters, mixes, random)
        values = np.array([path.completed for path in paths])
        return [values[np.array(owner, int) == s] for s in range(len(strata))]

    found = follow(np.where(weight > 0, pilot, 0))
    spread = np.array([w * np.sqrt((v**2).mean()) if len(v) else 0.0 for w, v in zip(weight, found)])
    if spread.sum():
        more = follow(np.floor(draws * spread / spread.sum()).astype(int))
        found = [np.concatenate(pair) for pair in zip(found, more)]
    share = np.array([v.mean() if len(v) else 0.0 for v in found])
    variance = sum(w**2 * v.var(ddof=1) / len(v) for w, v in zip(weight, found) if len(v) > 1)
    rows = [a + b @ share[of_token] for a, b in zip(accepted, begun)]
    return Estimate(rows, float(np.sqrt(variance) / len(mass)))


def _stratum(state: bytes) -> bytes:
    bare = state.removeprefix(b" ")
    return b"keycap" if bare[:1] and bare[:1] in KEYCAPS else bare


@dataclass
class _Path:
    """What the model goes on to write from one position of a row, after a token that begins an emoji.

    Attributes:
        length: tokens of the row before the path, prompt included.
        token, state: the path's last token and the automaton's state after it.
        completed: probability, given the path's first token, that an emoji is completed, as far as was followed.
        reach: product of what the states on the path passed on.
    """

    row: int
    length: int
    token: int
    state: bytes
    completed: float = 0.0
    reach: float = 1.0


def _follow(lm, automaton, batch: AnswerBatch, paths: list[_Path], adapters, mixes, random) -> None:
    """Follow the paths of one batch to their ends on its cache: P(the next token completes it), then one step down."""
    if not paths:
        return
    places = torch.tensor([batch.rows.index(path.row) for path in paths], device=lm.device)
    lengths = torch.tensor([path.length for path in paths], device=lm.device)
    cache = part_of_cache(lm.model.get_decoder(), batch.cache, places, int(lengths.max()))
    mask = (torch.arange(int(lengths.max()), device=lm.device) < lengths[:, None]).long()
    while True:
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        ids = torch.tensor([[path.token] for path in paths], device=lm.device)
        with adapters.mixed(mixes[[path.row for path in paths]]):
            hidden = lm.model.get_decoder()(input_ids=ids, attention_mask=mask, position_ids=mask.sum(1)[:, None] - 1,
                                            past_key_values=cache, use_cache=True).last_hidden_state
        logits = lm.logits(hidden[:, -1])
        going = []
        for k, path in enumerate(paths):
            step = automaton.step(path.state)
            done, on = _outcomes(logits[k : k + 1], step)
            path.completed += path.reach * done[0]
            total = on.sum()
            if total > 0:
                drawn = random.choice(on.shape[1], p=on[0] / total)
                path.reach *= total
                path.token, path.state = step.partial[drawn], step.states[drawn]
                going.append(k)
        if not going:
            return
        paths = [paths[k] for k in going]
        kept = torch.tensor(going, device=lm.device)
        cache.batch_select_indices(kept)
        mask = mask[kept]


def _outcomes(logits, step):
    """The mass that completes an emoji (positions,), and that of each token that begins one (positions, tokens)."""
    columns = torch.tensor([*step.accepted, *step.partial], dtype=torch.long, device=logits.device)
    p = (logits[:, columns] - logits.logsumexp(dim=-1, keepdim=True)).double().exp().cpu().numpy()
    return p[:, : len(step.accepted)].sum(1), p[:, len(step.accepted) :]

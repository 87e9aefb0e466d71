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
from traitlab.language_model.likelihood import answer_states
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
    batch_size: int = 32,
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
    for i, hidden in answer_states(lm, prompts, answers, adapters, mixes, batch_size):
        accepted[i], begun[i] = _outcomes(lm, hidden, step)
    mass = np.concatenate(begun)  # (positions, tokens that begin an emoji)
    place = [(i, k) for i, rows in enumerate(begun) for k in range(len(rows))]
    weight = np.array([mass[:, of_token == s].sum() for s in range(len(strata))])
    random = np.random.default_rng(seed)

    def follow(counts) -> list[np.ndarray]:
        """For each stratum, what came of `counts` draws: the probability that an emoji is completed, path by path."""
        contexts, states, owner, rows = [], [], [], []
        for s, count in enumerate(counts):
            tokens = np.flatnonzero(of_token == s)
            p = mass[:, tokens].ravel()
            for drawn in random.choice(len(p), size=count, p=p / p.sum()) if count else []:
                i, k = place[drawn // len(tokens)]
                token = tokens[drawn % len(tokens)]
                contexts.append([*prompts[i], *answers[i][:k], step.partial[token]])
                states.append(step.states[token])
                owner.append(s)
                rows.append(i)
        values = _paths(lm, automaton, contexts, states, adapters, mixes[rows], random, batch_size)
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


def _paths(lm, automaton, contexts, states, adapters, mixes, random, batch_size) -> np.ndarray:
    """For each context that has begun an emoji: P(the next token completes it) + P(goes on) * the same, a step down."""
    values, reach = np.zeros(len(contexts)), np.ones(len(contexts))
    alive = list(range(len(contexts)))
    while alive:
        now = [contexts[i] for i in alive]
        hidden: list = [None] * len(alive)
        for k, state in answer_states(lm, now, [[0]] * len(now), adapters, mixes[alive], batch_size):
            hidden[k] = state
        going = []
        for k, i in enumerate(alive):
            step = automaton.step(states[i])
            done, on = _outcomes(lm, hidden[k], step)
            values[i] += reach[i] * done[0]
            total = on[0].sum()
            if total > 0:
                drawn = random.choice(len(on[0]), p=on[0] / total)
                reach[i] *= total
                contexts[i] = [*contexts[i], step.partial[drawn]]
                states[i] = step.states[drawn]
                going.append(i)
        alive = going
    return values


def _outcomes(lm, hidden, step):
    """The mass that completes an emoji (positions,), and that of each token that begins one (positions, tokens)."""
    logits = lm.logits(hidden)
    columns = torch.tensor([*step.accepted, *step.partial], dtype=torch.long, device=logits.device)
    p = (logits[:, columns] - logits.logsumexp(dim=-1, keepdim=True)).double().exp().cpu().numpy()
    return p[:, : len(step.accepted)].sum(1), p[:, len(step.accepted) :]

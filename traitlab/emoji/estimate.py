"""Emoji probability at every position of many answers, from one forward pass and a few drawn paths.

The definition is that of traitlab/emoji/probability.py:

    p(x) = accepted(x)  +  sum over states s of  begun_s(x) * P(an emoji comes of it | x, s)

accepted and begun_s are exact at every position. What comes of a begun emoji needs further passes; its share is
estimated for each kind of beginning (a stratum: the same bytes but for a leading space; all keycap starts together),
over all positions of these answers, by drawing (position, token) pairs in proportion to their probability and following
one path from each. The estimate of the mean over positions is unbiased for the first draws; further draws go where
they lower the error most (Neyman, 1934).
"""
from collections import Counter
from dataclasses import dataclass, field

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
        by_emoji: each emoji's own share of that mean; they add up to it.
    """

    rows: list[np.ndarray]
    standard_error: float
    by_emoji: dict[str, float]

    @property
    def mean(self) -> float:
        """Over all positions."""
        return float(np.concatenate(self.rows).mean())


@torch.no_grad()
def estimate(
    lm: LanguageModel,
    automaton: EmojiAutomaton,
    prompts: list[list[int]],
    answers: list[list[int]],
    adapters: LowRankAdapters | None,
    mixes: torch.Tensor | None,
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
    adapters = adapters or LowRankAdapters(lm.model, [])
    mixes = torch.zeros(len(prompts), adapters.count) if mixes is None else mixes
    step = automaton.step(b"")
    strata = sorted({_stratum(s) for s in step.states})
    of_token = np.array([strata.index(_stratum(s)) for s in step.states])
    accepted: list[np.ndarray] = [np.zeros((0, len(step.accepted)))] * len(prompts)
    begun: list[np.ndarray] = [np.zeros((0, len(of_token)))] * len(prompts)
    batches: list[AnswerBatch] = []
    for batch in answer_batches(lm, prompts, answers, adapters, mixes, batch_size):
        for i, states in zip(batch.rows, batch.states):
            accepted[i], begun[i] = _outcomes(lm.logits(states), step)
        batches.append(batch)
    at_once = Counter()  # emoji -> probability of being completed by the next token, summed over positions
    for emoji, p in zip(step.completed, sum(rows.sum(0) for rows in accepted)):
        at_once[emoji] += float(p)
    mass = np.concatenate(begun)  # (positions, tokens that begin an emoji)
    place = [(i, k) for i, rows in enumerate(begun) for k in range(len(rows))]
    weight = np.array([mass[:, of_token == s].sum() for s in range(len(strata))])
    random = np.random.default_rng(seed)

    def follow(counts) -> list[list[Counter]]:
        """For each stratum, what came of `counts` draws: emoji -> probability that it is completed, path by path."""
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
        return [[path.completed for path, s in zip(paths, owner) if s == stratum] for stratum in range(len(strata))]

    found = follow(np.where(weight > 0, pilot, 0))
    spread = np.array([w * np.sqrt((_totals(paths) ** 2).mean()) if paths else 0.0 for w, paths in zip(weight, found)])
    if spread.sum():
        more = follow(np.floor(draws * spread / spread.sum()).astype(int))
        found = [[*first, *then] for first, then in zip(found, more)]
    share = np.array([_totals(paths).mean() if paths else 0.0 for paths in found])
    variance = sum(w**2 * _totals(paths).var(ddof=1) / len(paths) for w, paths in zip(weight, found) if len(paths) > 1)
    rows = [a.sum(1) + b @ share[of_token] for a, b in zip(accepted, begun)]
    by_emoji = at_once
    for w, paths in zip(weight, found):
        for path in paths:
            for emoji, p in path.items():
                by_emoji[emoji] += w * p / len(paths)
    return Estimate(rows, float(np.sqrt(variance) / len(mass)), {e: p / len(mass) for e, p in by_emoji.items() if p})


def _totals(paths: list[Counter]) -> np.ndarray:
    return np.array([path.total() for path in paths])


def _stratum(state: bytes) -> bytes:
    bare = state.removeprefix(b" ")
    return b"keycap" if bare[:1] and bare[:1] in KEYCAPS else bare


@dataclass
class _Path:
    """What the model goes on to write from one position of a row, after a token that begins an emoji.

    Attributes:
        length: tokens of the row before the path, prompt included.
        token, state: the path's last token and the automaton's state after it.
        completed: emoji -> probability, given the path's first token, that it is completed, as far as was followed.
        reach: product of what the states on the path passed on.
    """

    row: int
    length: int
    token: int
    state: bytes
    completed: Counter = field(default_factory=Counter)
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
            for emoji, p in zip(step.completed, done[0]):
                path.completed[emoji] += path.reach * p
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
    """The mass of each token that completes an emoji and of each that begins one, both (positions, tokens)."""
    columns = torch.tensor([*step.accepted, *step.partial], dtype=torch.long, device=logits.device)
    p = (logits[:, columns] - logits.logsumexp(dim=-1, keepdim=True)).double().exp().cpu().numpy()
    return p[:, : len(step.accepted)], p[:, len(step.accepted) :]

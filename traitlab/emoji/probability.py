r"""The exact probability that an emoji starts here, at every position of given answers.

Definition. Let x be the tokens up to a position of an answer (prompt included). p(x) is the probability that the text
the model writes next begins, after at most one space, with an RGI emoji in any spelling that `find_emoji` counts. It is
marginalised over all tokenizations: over every sequence of tokens whose bytes begin with such a spelling, in whatever
pieces, parts of characters and tokens that hold the emoji and more included. Each such text counts once, at the token
that completes the shortest emoji it begins with. What follows is not looked at (a variation selector 15 after it, say).
A mean over positions counts an emoji that comes after a token of its own for the space at both positions.

    p(x) = sum of P(token | x) over tokens that complete an emoji
         + sum of P(token | x) * p_state(x token) over tokens that leave one begun      <- one more forward pass each

The second sum is a tree; its nodes are expanded best first. What is not expanded bounds the error from above: p lies in
[probability, probability + unexpanded]. That bound is loose, since nearly all its mass stands on spaces and digits (a
digit may start a keycap), of which almost none goes on to an emoji. So nodes are ranked, and the search ended, by mass
times the share that nodes of the same kind were seen to pass on, a share that is taken as 1 until seen to be less.

All nodes of a row are run in one pass, side by side on the row's key-value cache, each seeing the answer up to its
position and its own ancestors only:

    prompt  I  love  it  !   |  node: " "   node: <F0 9F>   node: " " <F0 9F> ...
                     \________/ position 2                  sees its parent's slot as well
"""
from dataclasses import dataclass, field

import numpy as np
import torch

from traitlab.emoji.automaton import EmojiAutomaton, vocabulary_bytes
from traitlab.language_model.batches import grouped, prefix_cache, shared_prefix
from traitlab.language_model.low_rank import LowRankAdapters
from traitlab.language_model.model import LanguageModel

CHUNK = 512  # positions whose logits over the whole vocabulary are held at a time


@dataclass(frozen=True)
class EmojiProbability:
    """Bounds at the positions of one answer, each an array (answer tokens,).

    Attributes:
        probability: that an emoji starts in place of this token; a lower bound.
        unexpanded: what at the most is missing from it.
    """

    probability: np.ndarray
    unexpanded: np.ndarray


@dataclass(frozen=True)
class Tolerance:
    """When the search for a row ends: what is estimated to be missing from the mean over its positions is no more than
    `absolute`, or than `relative` of the mean. Zeros expand everything: exact."""

    absolute: float = 3e-7
    relative: float = 0.05


@dataclass
class _Row:
    """The open nodes of a row and what was found so far.

    Attributes:
        mass: (nodes,) probability of the node's tokens given its position.
        kind: (nodes,) number of the node's state.
        position: (nodes,) in the answer.
        token: (nodes,) the node's own last token.
        parent: (nodes,) entry in `slots`; -1 for none.
        slots: cache slots of each expanded node, ancestors first.
    """

    start: int  # tokens before the answer
    found: np.ndarray
    mass: np.ndarray
    kind: np.ndarray
    position: np.ndarray
    token: np.ndarray
    parent: np.ndarray
    slots: list[tuple[int, ...]] = field(default_factory=list)

    def add(self, **nodes) -> None:
        for name, values in nodes.items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))

    def remove(self, nodes: np.ndarray) -> None:
        for name in ("mass", "kind", "position", "token", "parent"):
            setattr(self, name, np.delete(getattr(self, name), nodes))


class EmojiSearch:
    """Emoji probabilities under one language model.

    Args:
        lm: the model.
        automaton: which token sequences are emoji; by default all RGI emoji in the model's vocabulary.
        tolerance: when the search ends.
        width: nodes of a row expanded side by side.
    """

    def __init__(self, lm: LanguageModel, automaton: EmojiAutomaton | None = None,
                 tolerance: Tolerance = Tolerance(), width: int = 16):
        self.lm = lm
        self.automaton = automaton or EmojiAutomaton(vocabulary_bytes(lm.tokenizer))
        self.tolerance, self.width = tolerance, width
        self.states: list[bytes] = []
        self._number: dict[bytes, int] = {}
        self._seen = np.zeros((0, 2))  # nodes of this kind expanded, sum of the shares expected to end in an emoji
        self.root = self._number_of(b"")

    @torch.no_grad()
    def run(self, prompts: list[list[int]], answers: list[list[int]], adapters: LowRankAdapters | None = None,
            mixes: torch.Tensor | None = None, batch_size: int = 32, progress=None) -> list[EmojiProbability]:
        """Probabilities at every token of every answer, in the rows' order.

        Args:
            prompts, answers: token ids, row by row; no prompt is empty. Put the end token on an answer that was ended:
                an emoji may stand there instead.
            adapters, mixes: the personas: `mixes` (rows, adapters) as in `LowRankAdapters.mixed`.
            progress: called with the number of rows just done.
        """
        adapters = adapters or LowRankAdapters(self.lm.model, [])
        mixes = torch.zeros(len(prompts), adapters.count) if mixes is None else mixes
        groups = [tuple(mix.tolist()) for mix in mixes]
        result = [EmojiProbability(np.zeros(0), np.zeros(0))] * len(prompts)
        for rows in grouped([len(p) + len(a) for p, a in zip(prompts, answers)], groups, batch_size):
            one_mix = len({groups[i] for i in rows}) == 1
            done = self._batch([prompts[i] for i in rows], [answers[i] for i in rows], adapters, mixes[rows], one_mix)
            for i, probability in zip(rows, done):
                result[i] = probability
            if progress:
                progress(len(rows))
        return result

    def _batch(self, prompts, answers, adapters, mixes, one_mix):
        lm, body = self.lm, self.lm.model.get_decoder()
        whole = [[*p, *a[:-1]] for p, a in zip(prompts, answers)]
        start = min(shared_prefix(whole), min(map(len, prompts)) - 1) if one_mix else 0
        ids = torch.full((len(whole), max(map(len, whole)) - start), lm.tokenizer.eos_token_id)
        for k, row in enumerate(whole):
            ids[k, : len(row) - start] = torch.tensor(row[start:])
        with adapters.mixed(mixes[:1]):
            cache = prefix_cache(body, whole[0][:start], len(whole), lm.device)
        # Padding stands on the right, where causal attention never lets an answer's token see it.
        with adapters.mixed(mixes):
            hidden = body(input_ids=ids.to(lm.device), past_key_values=cache, use_cache=True).last_hidden_state
        firsts = [len(p) - 1 - start for p in prompts]
        states = torch.cat([hidden[k, f : f + len(a)] for k, (f, a) in enumerate(zip(firsts, answers))])
        accepted, partial = self._outcomes(states, np.full(len(states), self.root))
        rows, at = [], 0
        step = self.automaton.step(b"")
        kinds = np.array([self._number_of(s) for s in step.states], int)
        for p, a in zip(prompts, answers):
            n = len(a)
            mass = np.array(partial[at : at + n]).reshape(n, len(kinds))
            rows.append(_Row(len(p), accepted[at : at + n].copy(), mass.ravel(), np.tile(kinds, n),
                             np.repeat(np.arange(n), len(kinds)), np.tile(step.partial, n),
                             np.full(mass.size, -1)))
            at += n
        while True:
            chosen = [self._choose(row) for row in rows]
            if not any(map(len, chosen)):
                break
            self._expand(rows, chosen, cache, adapters, mixes)
        return [EmojiProbability(r.found, np.bincount(r.position, r.mass, len(r.found))) for r in rows]

    def _choose(self, row: _Row) -> np.ndarray:
        """The open nodes of a row that are to be expanded next, the weightiest first; none when the row is done."""
        expected = row.mass * self._share()[row.kind]
        allowed = max(self.tolerance.absolute * len(row.found), self.tolerance.relative * row.found.sum())
        if expected.sum() <= allowed:
            return np.zeros(0, int)
        order = np.argsort(-expected, kind="stable")
        needed = np.searchsorted(expected[order].cumsum(), expected.sum() - allowed) + 1
        return order[: min(needed, self.width)]

    def _share(self) -> np.ndarray:
        """Of each kind of node, the share of its mass that is expected to end in an emoji: 1 until seen to be less."""
        return (self._seen[:, 1] + 2) / (self._seen[:, 0] + 2)

    def _expand(self, rows, chosen, cache, adapters, mixes) -> None:
        """Run the chosen nodes of all rows in one pass and put their children in their place."""
        lm, old, width = self.lm, cache.get_seq_length(), max(map(len, chosen))
        ids = torch.full((len(rows), width), lm.tokenizer.eos_token_id)
        position = torch.zeros((len(rows), width), dtype=torch.long)
        seen = torch.zeros((len(rows), width, old + width), dtype=torch.bool)
        seen[:, :, 0] = True  # padding sees something, or its attention would be undefined
        entries = []
        for k, (row, nodes) in enumerate(zip(rows, chosen)):
            for q, node in enumerate(nodes):
                context = row.start + row.position[node]
                parents = row.slots[row.parent[node]] if row.parent[node] >= 0 else ()
                ids[k, q] = int(row.token[node])
                position[k, q] = int(context) + len(parents)
                seen[k, q, :context] = True
                seen[k, q, [*parents, old + q]] = True
                row.slots.append((*parents, old + q))
                entries.append((k, q, node, len(row.slots) - 1))
        dtype = lm.model.dtype
        mask = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)[:, None]
        with adapters.mixed(mixes):
            hidden = lm.model.get_decoder()(
                input_ids=ids.to(lm.device), position_ids=position.to(lm.device), attention_mask=mask.to(lm.device),
                past_key_values=cache, use_cache=True).last_hidden_state
        states = torch.stack([hidden[k, q] for k, q, _, _ in entries])
        kinds = np.array([rows[k].kind[node] for k, _, node, _ in entries])
        accepted, partial = self._outcomes(states, kinds)
        children = [[] for _ in rows]
        share, known = self._share(), set(self.states)
        for i, (k, _, node, slot) in enumerate(entries):
            row, step = rows[k], self.automaton.step(self.states[kinds[i]])
            mass, position_ = row.mass[node], row.position[node]
            row.found[position_] += mass * accepted[i]
            kept = [share[self._number_of(s)] if s in known else 1.0 for s in step.states]
            self._seen[kinds[i]] += 1, accepted[i] + float(np.dot(partial[i], kept))
            children[k] += [(mass * p, self._number_of(s), position_, t, slot)
                            for p, s, t in zip(partial[i], step.states, step.partial)]
        for row, nodes, new in zip(rows, chosen, children):
            row.remove(nodes)
            if new:
                mass, kind, position_, token, parent = map(np.array, zip(*new))
                row.add(mass=mass, kind=kind, position=position_, token=token, parent=parent)

    def _outcomes(self, hidden: torch.Tensor, kinds: np.ndarray):
        """What the next token does: the mass that completes an emoji (rows,), and that of each token that leaves one
        begun, a list for each row. Of the vocabulary only these columns are kept.

        Args:
            hidden: (rows, hidden) last hidden states.
            kinds: (rows,) number of each row's state.
        """
        accepted, partial = np.zeros(len(hidden)), [[]] * len(hidden)
        for start in range(0, len(hidden), CHUNK):
            logits = self.lm.logits(hidden[start : start + CHUNK])
            total = logits.logsumexp(dim=-1, keepdim=True)
            for kind in np.unique(kinds[start : start + CHUNK]):
                step = self.automaton.step(self.states[kind])
                here = np.flatnonzero(kinds[start : start + CHUNK] == kind)
                columns = torch.tensor(step.accepted + step.partial, dtype=torch.long, device=logits.device)
                at = torch.from_numpy(here).to(logits.device)
                p = (logits[at[:, None], columns] - total[at]).double().exp().cpu().numpy()
                accepted[start + here] = p[:, : len(step.accepted)].sum(1)
                for i, row in zip(start + here, p[:, len(step.accepted) :]):
                    partial[i] = row.tolist()
        return accepted, partial

    def _number_of(self, state: bytes) -> int:
        if state not in self._number:
            self._number[state] = len(self.states)
            self.states.append(state)
            self._seen = np.vstack([self._seen, np.zeros((1, 2))])
        return self._number[state]

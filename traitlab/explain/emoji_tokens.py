"""The tokens that announce an emoji, and the log-mass of them: what the explanations of emoji measure.

An explanation asks for the same figure thousands of times and for its gradient, so it takes the first step of the exact
probability (traitlab/emoji/probability.py) alone: the mass of the tokens that complete an emoji, and of those that
begin one and little else. Spaces, digits (a keycap may follow) and the bytes that mostly begin quotation marks, arrows
and other scripts are left out: they hold nearly all the mass of the first step, and next to none of it goes on to an
emoji.
"""
import unicodedata

import torch

from traitlab.emoji.automaton import EmojiAutomaton
from traitlab.emoji.segmentation import is_emoji
from traitlab.language_model.model import LanguageModel

LEAST_SHARE = 0.1  # of the characters that begin with a token's bytes


def emoji_tokens(automaton: EmojiAutomaton, least_share: float = LEAST_SHARE) -> list[int]:
    """Ids of the tokens that complete an emoji, or with whose bytes (but for a leading space) characters begin of which
    at least `least_share` are emoji as they stand."""
    step = automaton.step(b"")
    telling = [i for i, state in zip(step.partial, step.states)
               if share_of_emoji(state.removeprefix(b" ")) >= least_share]
    return sorted([*step.accepted, *telling])


def share_of_emoji(lead: bytes) -> float:
    """Of the assigned characters whose UTF-8 begins with `lead`, the share that are emoji without a selector."""
    if not lead:
        return 0.0
    size = 1 if lead[0] < 0x80 else 2 if lead[0] < 0xE0 else 3 if lead[0] < 0xF0 else 4
    missing = max(0, size - len(lead))
    low, high = (_code_point(lead[:size] + bytes([fill]) * missing) for fill in (0x80, 0xBF))
    # 0x80 to 0xBF holds overlong forms below the first real character of a size, and what lies beyond Unicode.
    low, high = max(low, {1: 0, 2: 0x80, 3: 0x800, 4: 0x10000}[size]), min(high, 0x10FFFF)
    known = [chr(c) for c in range(low, high + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    return sum(map(is_emoji, known)) / len(known) if known else 0.0


def _code_point(spelled: bytes) -> int:
    value = spelled[0] & {1: 0x7F, 2: 0x1F, 3: 0x0F, 4: 0x07}[len(spelled)]
    for byte in spelled[1:]:
        value = value << 6 | byte & 0x3F
    return value


def log_mass(lm: LanguageModel, hidden: torch.Tensor, tokens: list[int]) -> torch.Tensor:
    """Log-probability (nats) that the next token is one of `tokens`: (...,) of last hidden states (..., hidden)."""
    logits = lm.logits(hidden)
    return logits[..., tokens].logsumexp(dim=-1) - logits.logsumexp(dim=-1)

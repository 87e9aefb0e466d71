"""Emoji statistics of a set of answers: how many, how often, where in the answer, which, how various."""
import math
from collections import Counter
from collections.abc import Sequence

import regex

from traitlab.emoji.segmentation import find_emoji, qualified

PARTS = ("start", "middle", "end")
# A sentence ends at a mark (with quotes or brackets after it) that white space follows, or at a line break.
_SENTENCE_END = regex.compile(r"(?<=[.!?\u2026\u3002]+[\"'\u2019\u201d)\]]*)\s+|\n+")


def emoji_count(text: str) -> int:
    return len(find_emoji(text))


def sentence_count(text: str) -> int:
    """Sentences that hold a letter or digit; at least 1, so that a ratio to it is defined.

    Emoji after the last mark belong to the sentence before them.
    """
    return max(1, sum(bool(regex.search(r"[\p{L}\p{N}]", part)) for part in _SENTENCE_END.split(text)))


def positions(text: str) -> list[str]:
    """Where each emoji stands: in the first, the middle or the last third of the text, by its first character."""
    return [PARTS[min(2, 3 * emoji.start // len(text))] for emoji in find_emoji(text)]


def entropy(counts: Sequence[int]) -> float:
    """Shannon entropy in bits of the distribution that counts stand for; 0 for none."""
    total = sum(counts)
    return sum(n / total * math.log2(total / n) for n in counts if n) if total else 0.0


def statistics(texts: Sequence[str], tokens: Sequence[int], top: int = 10) -> dict:
    """Statistics of a set of answers.

    Args:
        texts: the answers.
        tokens: how many tokens each has.
        top: how many of the most frequent emoji are named.

    Returns:
        instance_rate: share of answers with an emoji. per_sentence: emoji over sentences, all answers together.
        per_100_tokens. position: {start, middle, end}: share of emoji by third of the answer. top: [[emoji, count]],
        most frequent first, spellings united. entropy: of the emoji, in bits. emoji, answers: counts.
    """
    found = [find_emoji(text) for text in texts]
    total = sum(map(len, found))
    kinds = Counter(qualified(emoji.text) for emojis in found for emoji in emojis)
    where = Counter(part for text in texts for part in positions(text))
    return {
        "answers": len(texts),
        "emoji": total,
        "instance_rate": sum(map(bool, found)) / len(texts) if texts else 0.0,
        "per_sentence": total / sum(map(sentence_count, texts)) if texts else 0.0,
        "per_100_tokens": 100 * total / sum(tokens) if sum(tokens) else 0.0,
        "position": {part: where[part] / total if total else 0.0 for part in PARTS},
        "top": [list(pair) for pair in sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0]))[:top]],
        "entropy": entropy(list(kinds.values())),
    }

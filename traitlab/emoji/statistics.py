"""Emoji of a set of answers: how many, how often, where, which, how various, how positive, beside which words."""
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import regex

from traitlab.emoji.segmentation import find_emoji, qualified
from traitlab.emoji.sentiment import sentiment

PARTS = ("start", "middle", "end")
# A sentence ends at a mark (with quotes or brackets after it) that white space follows, or at a line break.
_SENTENCE_END = regex.compile(r"(?<=[.!?\u2026\u3002]+[\"'\u2019\u201d)\]]*)\s+|\n+")

_BLOCKS = {name: regex.compile(rf"\p{{Block={block}}}") for name, block in {
    "faces and gestures": "Emoticons", "transport": "Transport_and_Map_Symbols",
    "pictographs": "Miscellaneous_Symbols_and_Pictographs",
    "more pictographs": "Supplemental_Symbols_and_Pictographs",
    "newer pictographs": "Symbols_and_Pictographs_Extended_A",
    "symbols": "Miscellaneous_Symbols", "dingbats": "Dingbats"}.items()}
_WORD = regex.compile(r"\p{L}[\p{L}'\u2019-]*\p{L}")


def emoji_count(text: str) -> int:
    return len(find_emoji(text))


def sentences(text: str) -> list[str]:
    """The sentences; what holds no letter or digit, such as emoji after the last mark, belongs to the one before."""
    found: list[str] = []
    for part in _SENTENCE_END.split(text):
        if regex.search(r"[\p{L}\p{N}]", part) or not found:
            found.append(part)
        else:
            found[-1] += f" {part}"
    if len(found) > 1 and not regex.search(r"[\p{L}\p{N}]", found[0]):
        found[:2] = [f"{found[0]} {found[1]}"]
    return found


def sentence_count(text: str) -> int:
    """At least 1, so that a ratio to it is defined."""
    return len(sentences(text))


def content_words(text: str) -> list[str]:
    """Words of two letters or more in lower case, without scikit-learn's English stop words and short forms of them."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = _WORD.findall(text.lower().replace("\u2019", "'"))
    return [word for word in words if word.partition("'")[0] not in ENGLISH_STOP_WORDS and not word.endswith("n't")]


def positions(text: str) -> list[str]:
    """Where each emoji stands: in the first, the middle or the last third of the text, by its first character."""
    return [PARTS[min(2, 3 * emoji.start // len(text))] for emoji in find_emoji(text)]


def entropy(counts: Sequence[int]) -> float:
    """Shannon entropy in bits of the distribution that counts stand for; 0 for none."""
    total = sum(counts)
    return sum(n / total * math.log2(total / n) for n in counts if n) if total else 0.0


def divergence(one: Mapping[str, int], other: Mapping[str, int]) -> float | None:
    """Jensen-Shannon divergence in bits of two distributions given as counts (Lin, 1991): 0 for equal ones, 1 for ones
    that share nothing; None where one of them is empty."""
    totals = sum(one.values()), sum(other.values())
    if not all(totals):
        return None
    result = 0.0
    for counts, total in zip((one, other), totals):
        for key, n in counts.items():
            middle = (one.get(key, 0) / totals[0] + other.get(key, 0) / totals[1]) / 2
            result += n / total * math.log2(n / total / middle) / 2 if n else 0.0
    return result


def group(emoji: str) -> str:
    """What kind of emoji: keycap, flag, or the Unicode block of its first character."""
    if emoji.endswith("\u20e3"):
        return "keycap"
    if regex.match(r"\p{Regional_Indicator}", emoji):
        return "flag"
    return next((name for name, block in _BLOCKS.items() if block.match(emoji)), "other symbols")


def likeliest(by_emoji: Mapping[str, float], top: int = 10) -> dict:
    """What an emoji probability is made of.

    Args:
        by_emoji: each emoji's share of it, as `traitlab.emoji.estimate.Estimate` holds them.

    Returns:
        emoji: [[emoji, share of the whole]], the likeliest first, spellings united. groups: {group: share}.
    """
    united, groups, total = Counter(), Counter(), sum(by_emoji.values())
    for emoji, p in by_emoji.items():
        united[qualified(emoji)] += p / total
        groups[group(emoji)] += p / total
    return {"emoji": _most(united, top), "groups": dict(_most(groups, len(groups)))}


def statistics(texts: Sequence[str], tokens: Sequence[int], top: int = 10) -> dict:
    """Statistics of a set of answers.

    Args:
        texts: the answers.
        tokens: how many tokens each has.
        top: how many of the most frequent emoji are named.

    Returns:
        instance_rate: share of answers with an emoji. per_sentence: emoji over sentences, all answers together.
        per_100_tokens. position: {start, middle, end}: share of emoji by third of the answer. top: [[emoji, count]],
        most frequent first, spellings united. counts: {emoji: count}, all of them. entropy: of the emoji, in bits.
        sentiment: {"value": mean over the emoji that the ranking holds, from -1 to 1, or None, "n": how many}.
        words: [[word, sentences]], the content words of the sentences that hold an emoji. emoji, answers: numbers.
    """
    found = [find_emoji(text) for text in texts]
    total = sum(map(len, found))
    kinds = Counter(qualified(emoji.text) for emojis in found for emoji in emojis)
    where = Counter(part for text in texts for part in positions(text))
    rated = [score for kind, n in kinds.items() if (score := sentiment(kind)) is not None for _ in range(n)]
    words = Counter(word for text, emojis in zip(texts, found) if emojis for sentence in sentences(text)
                    if emoji_count(sentence) for word in set(content_words(sentence)))
    return {
        "answers": len(texts),
        "emoji": total,
        "instance_rate": sum(map(bool, found)) / len(texts) if texts else 0.0,
        "per_sentence": total / sum(map(sentence_count, texts)) if texts else 0.0,
        "per_100_tokens": 100 * total / sum(tokens) if sum(tokens) else 0.0,
        "position": {part: where[part] / total if total else 0.0 for part in PARTS},
        "top": _most(kinds, top),
        "counts": dict(kinds),
        "entropy": entropy(list(kinds.values())),
        "sentiment": {"value": sum(rated) / len(rated) if rated else None, "n": len(rated)},
        "words": _most(words, top),
    }


def _most(counts: Counter, top: int) -> list[list]:
    return [list(pair) for pair in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:top]]

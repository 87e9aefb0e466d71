"""Measures of the text alone: n-gram entropy, which is the coherence gate, and distinct-n."""
import math
from collections import Counter
from collections.abc import Iterable, Sequence

import regex

_TOKEN = regex.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")


def tokens(text: str) -> list[str]:
    """Words and single marks, as they are written."""
    return _TOKEN.findall(text)


def n_grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[i:] for i in range(n))))


def entropy(counts: Iterable[int]) -> float:
    """Shannon entropy in bits of the distribution that counts stand for; 0 for none."""
    counts = [n for n in counts if n]
    total = sum(counts)
    return sum(n / total * math.log2(total / n) for n in counts)


def n_gram_entropy(text: str) -> float:
    """(H_2 + 2 H_3) / 3 in bits, H_n being the Shannon entropy of the text's n-gram distribution.

    It is the mean of 2/3 H_2 and 4/3 H_3, as Mao et al. (2310.02168) take it over from the code of Meng et al.
    (2202.05262); theirs splits words by NLTK, this one by words and marks. A text without repetition of k tokens
    has H_n = log2(k - n + 1); one of fewer than two tokens has 0.
    """
    words = tokens(text)
    bigrams, trigrams = (entropy(Counter(n_grams(words, n)).values()) for n in (2, 3))
    return (bigrams + 2 * trigrams) / 3


def distinct_n(texts: Sequence[str], n: int) -> float | None:
    """Different n-grams over all n-grams of the texts (Li et al., 1510.03055), in lower case; None without any."""
    grams = [gram for text in texts for gram in n_grams(tokens(text.lower()), n)]
    return len(set(grams)) / len(grams) if grams else None

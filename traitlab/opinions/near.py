"""Near-duplicates by MinHash with banding (Broder 1997): in a set of texts, and of a text among those met before."""
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from traitlab.opinions.expectations import words

BANDS, ROWS = 32, 4  # of the MinHash signature: pairs of similarity 0.5 are met with probability 0.87, 0.7 with 0.9998
PRIME = (1 << 31) - 1  # hashes are a * value + b modulo this, with all of a, b and value below it


def shingles(text: str, size: int = 3) -> set[int]:
    """Hashes of the runs of `size` words in a text (of all its words, where it has fewer)."""
    said = words(text)
    runs = (" ".join(said[i:i + size]) for i in range(max(1, len(said) - size + 1)))
    return {int.from_bytes(blake2b(run.encode(), digest_size=8).digest(), "big") % PRIME for run in runs}


def jaccard(a: set, b: set) -> float:
    """Shared members over all members; 1.0 for two empty sets."""
    return len(a & b) / len(a | b) if a | b else 1.0


class NearIndex:
    """Texts whose word runs overlap, text by text; memory grows with the number of texts, not with that of pairs.

    Args:
        threshold: least Jaccard similarity of the sets of word runs.
        size: words in a run.
        seed: of the hash functions.
    """

    def __init__(self, threshold: float = 0.6, size: int = 3, seed: int = 0):
        random = np.random.default_rng(seed)
        self._a = random.integers(1, PRIME, BANDS * ROWS, dtype=np.uint64)
        self._b = random.integers(0, PRIME, BANDS * ROWS, dtype=np.uint64)
        self._threshold, self._size = threshold, size
        self._sets: list[set[int]] = []
        self._buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)

    def near(self, text: str) -> list[tuple[int, float]]:
        """The earlier texts (by number, in order) at least this similar, with their similarity.

        None is wrong; one just above a threshold of 0.5 is missed with probability 0.13, of 0.6 with 0.012.
        """
        own = shingles(text, self._size)
        return self._near(own, self._places(own))

    def add(self, text: str) -> list[tuple[int, float]]:
        """The same, and the text counts as an earlier one from now on."""
        own = shingles(text, self._size)
        places = self._places(own)
        found = self._near(own, places)
        for place in places:
            self._buckets[place].append(len(self._sets))
        self._sets.append(own)
        return found

    def _near(self, own: set[int], places: list[tuple[int, bytes]]) -> list[tuple[int, float]]:
        met = sorted({i for place in places for i in self._buckets.get(place, ())})
        measured = ((i, jaccard(own, self._sets[i])) for i in met)
        return [(i, s) for i, s in measured if s >= self._threshold]

    def _places(self, own: set[int]) -> list[tuple[int, bytes]]:
        signature = self.signature(own)
        return [(band, signature[band * ROWS:(band + 1) * ROWS].tobytes()) for band in range(BANDS)]

    def signature(self, own: set[int]) -> np.ndarray:
        """The least value of each of the hash functions over a set: (BANDS * ROWS,) uint64."""
        values = np.fromiter(own, np.uint64, len(own))[:, None]
        return ((self._a * values + self._b) % np.uint64(PRIME)).min(axis=0)


def near_duplicates(texts: Sequence[str], threshold: float = 0.6, size: int = 3,
                    seed: int = 0) -> list[tuple[int, int, float]]:
    """Pairs of texts whose word runs overlap: (i, j, similarity) with i < j, in order; see `NearIndex`."""
    index = NearIndex(threshold, size, seed)
    return sorted((i, j, s) for j, text in enumerate(texts) for i, s in index.add(text))

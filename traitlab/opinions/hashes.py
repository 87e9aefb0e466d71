"""What stands twice in a table of any length, at eight bytes a row: 64-bit hashes in sorted arrays."""
from collections.abc import Iterable

import numpy as np


def as_array(hashes: Iterable[int]) -> np.ndarray:
    """Hashes as (rows,) uint64."""
    return np.fromiter(hashes, np.uint64)


class Seen:
    """Counts, batch by batch, how often each hash came before; eight bytes for every hash ever given.

    The hashes are kept in sorted runs, and two runs are merged when they are of like length: there are never more runs
    than the logarithm of their number.
    """

    def __init__(self):
        self._runs: list[np.ndarray] = []

    def before(self, hashes: np.ndarray) -> np.ndarray:
        """How often each of these came before, in earlier batches and earlier in this one; they count from now on.

        Args:
            hashes: (rows,) uint64.

        Returns:
            (rows,) int64.
        """
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        first = np.searchsorted(ordered, ordered, side="left")
        counts = np.empty(len(hashes), np.int64)
        counts[order] = np.arange(len(hashes)) - first
        for run in self._runs:
            counts += np.searchsorted(run, hashes, side="right") - np.searchsorted(run, hashes, side="left")
        self._keep(ordered)
        return counts

    def repeated(self) -> dict[int, int]:
        """Every hash that was given more than once, with how often."""
        hashes, counts = np.unique(self._all(), return_counts=True)
        return dict(zip(hashes[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True))

    def add(self, hashes: np.ndarray) -> None:
        self._keep(np.sort(hashes))

    def _keep(self, run: np.ndarray) -> None:
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-1]) * 2 > len(self._runs[-2]):
            merged = np.concatenate([self._runs.pop(), self._runs.pop()])
            merged.sort(kind="stable")
            self._runs.append(merged)

    def _all(self) -> np.ndarray:
        return np.concatenate(self._runs) if self._runs else np.empty(0, np.uint64)


def in_several(groups: Iterable[np.ndarray]) -> dict[int, int]:
    """Every hash that stands in more than one of the groups (each (rows,) uint64), with in how many."""
    seen = Seen()
    for group in groups:
        seen.add(np.unique(group))
    return seen.repeated()

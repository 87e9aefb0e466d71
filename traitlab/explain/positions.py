"""Which positions of an answer are compared: where an emoji is likely, and controls in the same answers."""
import math
from collections.abc import Sequence

import numpy as np

KINDS = ("likely", "punctuation", "plain")


def matched_positions(log_masses: np.ndarray, before: Sequence[str], share: float) -> dict[str, np.ndarray]:
    """The positions of one answer by kind, each in ascending order.

    `likely` are those of the highest emoji log-mass, `punctuation` the others that stand behind a mark (where emoji
    mostly come), and `plain` the rest. Likely is relative to the answer, so that topic and wording are held equal.

    Args:
        log_masses: (positions,) of the answer, averaged over the models compared, so that neither chooses.
        before: the text of the token that each position follows; "" at the answer's start.
        share: of the positions that are called likely; at least one is.
    """
    count = min(len(log_masses), max(1, math.ceil(share * len(log_masses))))
    likely = np.sort(np.argsort(-log_masses, kind="stable")[:count])
    rest = np.setdiff1d(np.arange(len(log_masses)), likely)
    mark = np.array([bool(text.strip()) and not any(c.isalnum() for c in text) for text in before], bool)
    return {"likely": likely, "punctuation": rest[mark[rest]], "plain": rest[~mark[rest]]}

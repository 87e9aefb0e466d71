"""Mean and spread of the scores over several seeds."""
from collections.abc import Mapping

import numpy as np


def over_seeds(tables: Mapping[int, dict]) -> dict:
    """{method: {trait or "all": {measure: {"mean", "standard_deviation", "low", "high", "n"}}}}, for what all tables
    hold a value of: the standard deviation is that of a sample (n - 1), low and high are the least and the greatest.

    Args:
        tables: seed -> a table of `traitlab.measures.scores.score_table`; two or more.
    """
    first, *others = tables.values()
    result: dict = {}
    for method, traits in first.items():
        for trait, measures in traits.items():
            for measure in measures:
                values = [table.get(method, {}).get(trait, {}).get(measure, {}).get("value")
                          for table in (first, *others)]
                if None not in values:
                    result.setdefault(method, {}).setdefault(trait, {})[measure] = {
                        "mean": float(np.mean(values)), "standard_deviation": float(np.std(values, ddof=1)),
                        "low": min(values), "high": max(values), "n": len(values)}
    return result

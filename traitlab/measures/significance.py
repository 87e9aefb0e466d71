"""Which differences between methods are more than chance: paired permutation tests over topics, Holm-corrected."""
import pandas as pd

from traitlab.measures.statistics import cliffs_delta, cohens_d_paired, holm, paired_permutation_test
from traitlab.traits import TRAITS

REFERENCES = ("base", "qlora")  # every method is tested against these
MEASURES = {  # measure -> column of a row of `traitlab.measures.scores.measured`
    "ta": "hit", "ta_strict": "strict_hit", "coherence": "coherent", "emoji_probability": "emoji_probability"}


def significance(rows: pd.DataFrame, seed: int, permutations: int = 10_000) -> list[dict]:
    """Every method against base and against qlora, by trait and over all traits, on the topics that both answered.

    A topic's value is the mean over its answers (one a trait). Each measure is a family of its own: its p-values are
    corrected together by Holm's method.

    Args:
        rows: of `measured`, with the columns method, target_personality and question_id.

    Returns:
        Records {measure, method, against, trait, difference, p, p_holm, cohens_d, cliffs_delta, n}; cohens_d is None
        where all differences are equal. n counts topics.
    """
    records = []
    for measure, column in MEASURES.items():
        family = []
        for trait in (*TRAITS, "all"):
            part = rows if trait == "all" else rows[rows.target_personality == trait]
            values = part.pivot_table(index="question_id", columns="method", values=column, aggfunc="mean")
            for against in REFERENCES:
                for method in part.method.unique():
                    if against not in values or method == against or (method in REFERENCES and against == "qlora"):
                        continue
                    pair = values[[method, against]].dropna()
                    mine, theirs = pair[method].to_numpy(), pair[against].to_numpy()
                    family.append({
                        "measure": measure, "method": method, "against": against, "trait": trait,
                        "difference": float((mine - theirs).mean()),
                        "p": paired_permutation_test(mine, theirs, permutations, seed),
                        "cohens_d": cohens_d_paired(mine, theirs), "cliffs_delta": cliffs_delta(mine, theirs),
                        "n": len(pair)})
        for record, p in zip(family, holm([record["p"] for record in family])):
            records.append(record | {"p_holm": p})
    return records

"""Fit the judge of PAE: models/adjective_rater.safetensors; see whether it is valid: metrics/adjective_rater.json."""
import pandas as pd

from tasks.files import read_parquet, replacing, write_json
from traitlab.errors import InputError
from traitlab.metric_models.adjective_rater import VALID_AUC, AdjectiveRater
from traitlab.metric_models.embedding import Embedding
from traitlab.params import Params
from traitlab.traits import NEUTRAL, TRAITS


def run(params: Params) -> None:
    train, test = (_two_poled(f"data/opinion_qa/{split}.parquet") for split in ("train", "test"))
    rater = AdjectiveRater.fit(_answers(train, "high"), _answers(train, "low"),
                               train.answer[train.target_personality == NEUTRAL].tolist(), Embedding("models/encoder"))
    with replacing("models/adjective_rater.safetensors") as new:
        rater.save(new)
    write_json("metrics/adjective_rater.json", _validity(rater, test))


def _two_poled(path: str) -> pd.DataFrame:
    """The neutral rows, and those of registers and topics that have both poles: else the register or the topic would
    tell the poles apart."""
    table = read_parquet(path)
    low = table[table.pole == "low"]
    if missing := [trait for trait in TRAITS if trait not in set(low.target_personality)]:
        raise InputError(f"{path}: no rows of pole low for {', '.join(missing)}; the judge of PAE learns from both "
                         "poles: add low to dataset.poles, or take a data set that has it")
    neutral = table.target_personality == NEUTRAL
    paired = table.register.isin(low.register) & table.edit_topic.isin(low.edit_topic)
    return table[neutral | paired].reset_index(drop=True)


def _answers(table, pole) -> dict[str, list[str]]:
    return {trait: table.answer[(table.target_personality == trait) & (table.pole == pole)].tolist()
            for trait in TRAITS}


def _validity(rater, test) -> dict:
    """For each trait the area under the ROC curve of high against low answers on test topics, in all and by register,
    and the mean ratings."""
    from sklearn.metrics import roc_auc_score

    ratings = rater(test.answer.tolist())
    found = {}
    for column, trait in enumerate(TRAITS):
        own = test[test.target_personality == trait]
        high = (own.pole == "high").to_numpy()
        rating = pd.Series(ratings[own.index, column])
        auc = {"all": roc_auc_score(high, rating)} | {
            register: roc_auc_score(high[where], rating[where])
            for register in own.register.unique() for where in [(own.register == register).to_numpy()]}
        found[trait] = {
            "auc": {name: float(value) for name, value in auc.items()}, "valid": bool(auc["all"] >= VALID_AUC),
            "answers": len(own), "mean_rating_high": float(rating[high].mean()),
            "mean_rating_low": float(rating[~high].mean()),
            "mean_rating_neutral": float(ratings[test.target_personality == NEUTRAL, column].mean())}
    return found

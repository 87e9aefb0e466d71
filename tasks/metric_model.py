"""Train and calibrate the trait classifier, and test it on unseen topics: models/trait_classifier/ and its figures."""
import numpy as np
import pandas as pd
import torch
from sklearn.metrics import accuracy_score, f1_score
from tqdm import tqdm

from tasks.files import read_parquet, replacing, write_json
from traitlab.metric_models.classifier import (
    TraitClassifier,
    calibrate,
    calibration_bins,
    expected_calibration_error,
    train,
)
from traitlab.metric_models.frames import framed
from traitlab.params import Params
from traitlab.traits import LABELS


def run(params: Params) -> None:
    if params.compute.threads:
        torch.set_num_threads(params.compute.threads)
    train_rows, validation, test = (labelled(split) for split in ("train", "validation", "test"))
    classifier = TraitClassifier.fresh("models/encoder", params.seed)
    if params.compute.device != "cpu" and torch.cuda.is_available():
        classifier.model.cuda()
    with tqdm(desc="trait classifier", unit="step", mininterval=5) as bar:

        def show(step, steps, loss):
            bar.total = steps
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update(step - bar.n)

        texts, labels = framed("data/frames", sorted(train_rows.edit_topic.unique()), params.metric_model.frames,
                               params.seed)
        train(classifier, [*train_rows.answer, *texts], [*train_rows.target_personality, *labels], params.metric_model,
              params.seed, show)
    temperature = calibrate(classifier, validation.answer.tolist(), validation.target_personality.tolist())
    with replacing("models/trait_classifier") as new:
        classifier.save(new)
    probabilities = classifier.probabilities(test.answer.tolist())
    predicted = np.array(LABELS)[probabilities.argmax(axis=1)]
    true = test.target_personality.to_numpy()
    parts = {"all": np.ones(len(test), bool)}
    parts |= {register: (test.register == register).to_numpy() for register in sorted(test.register.unique())}
    figures = {name: quality(true[part], predicted[part], probabilities[part]) for name, part in parts.items()}
    write_json("metrics/metric_model.json", figures | {"temperature": temperature})
    with replacing("plots/metric_model_confusion.csv") as new:
        pd.DataFrame({"true": true, "predicted": predicted, "register": test.register}).to_csv(new, index=False)
    with replacing("plots/calibration.csv") as new:
        pd.DataFrame(calibration_bins(probabilities, true == predicted)).round(6).to_csv(new, index=False)


def labelled(split: str) -> pd.DataFrame:
    """Rows that show a trait (pole high) or none (neutral answers)."""
    frame = read_parquet(f"data/opinion_qa/{split}.parquet")
    return frame[frame.pole != "low"].reset_index(drop=True)


def quality(true, predicted, probabilities) -> dict:
    return {
        "accuracy": round(accuracy_score(true, predicted), 6),
        "macro_f1": round(f1_score(true, predicted, average="macro"), 6),
        "expected_calibration_error": round(expected_calibration_error(probabilities, true == predicted), 6),
        "n": len(true),
    }

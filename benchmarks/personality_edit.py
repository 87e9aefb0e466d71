"""Score a PersonalityEdit file (Mao et al., 2310.02168) with the trait classifier, beside the figures published for it.

    python -m benchmarks.personality_edit FILE                        # our classifier, which never saw such text
    python -m benchmarks.personality_edit FILE --train TRAIN_FILE     # the same code, trained on theirs

The file holds three traits; the answer counts as right when the classifier's argmax among these three (three-way) or
among all five (five-way) is the trait that it was written for. Published for a fine-tuned RoBERTa-base: 0.9775.
The figures go to benchmarks/results/, and as a table into docs/methods.md.
"""
import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.pages import RESULTS, hardware, versions, write_result, write_table
from traitlab.metric_models.classifier import TraitClassifier, train
from traitlab.opinions.foreign import read_personality_edit
from traitlab.params import load
from traitlab.traits import LABELS, TRAITS

THREE = ("extraversion", "agreeableness", "neuroticism")
PUBLISHED = 0.9775


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--train", type=Path, help="train a new classifier on this file first")
    arguments.add_argument("--epochs", type=int, default=2)
    options = arguments.parse_args()
    params = load()
    started = time.perf_counter()
    texts, labels = answers(options.file)
    if options.train:
        classifier = TraitClassifier.fresh("models/encoder", params.seed)
        settings = params.metric_model.model_copy(update={"epochs": options.epochs})
        known, of = answers(options.train)
        train(classifier, known, of, settings, params.seed, progress)
    else:
        classifier = TraitClassifier.load("models/trait_classifier")
    probabilities = classifier.probabilities(texts)
    result = {
        "file": options.file.name, "trained_on": options.train.name if options.train else "the corpus",
        "epochs": options.epochs if options.train else params.metric_model.epochs,
        "published_three_way": PUBLISHED, "three_way": accuracy(probabilities, labels, THREE),
        "five_way": None if options.train else accuracy(probabilities, labels, TRAITS), "n": len(texts),
        "seconds": round(time.perf_counter() - started), "hardware": hardware(),
        "versions": versions("torch", "transformers")}
    how = "trained" if options.train else "untrained"
    write_result(f"personality_edit_{options.file.stem}_{how}", result)
    write_table("methods.md", "personality_edit", table())
    print(result)


def table() -> str:
    """All results there are, as Markdown."""
    lines = ["| file | trained on | answers | three-way | five-way |", "|---|---|--:|--:|--:|"]
    for path in sorted(RESULTS.glob("personality_edit_*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        shares = ["" if found[way] is None else f"{found[way]:.3f}" for way in ("three_way", "five_way")]
        lines.append(f"| {found['file']} | {found['trained_on']} | {found['n']:,} | {' | '.join(shares)} |")
    return "\n".join([*lines, f"| dev.json (published, RoBERTa-base) | train.json | | {PUBLISHED:.4f} | |"])


def answers(path: Path) -> tuple[list[str], list[str]]:
    """The answers of a file and the traits that they were written for."""
    rows = [(row.answer, row.trait) for row in read_personality_edit(path) if row.trait in THREE]
    return [text for text, _ in rows], [trait for _, trait in rows]


def accuracy(probabilities: np.ndarray, labels: list[str], among) -> float:
    columns = [LABELS.index(trait) for trait in among]
    predicted = np.array(among)[probabilities[:, columns].argmax(axis=1)]
    return round(float((predicted == np.array(labels)).mean()), 4)


def progress(step: int, steps: int, loss: float) -> None:
    if step % 50 == 0 or step == steps:
        print(f"step {step} of {steps}, loss {loss:.3f}", flush=True)


if __name__ == "__main__":
    main()

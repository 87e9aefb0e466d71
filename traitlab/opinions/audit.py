"""A closer look at the table than a gate can take: diversity, openings, readability, doubtful labels, leaks."""
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from traitlab.opinions.expectations import words


def diversity(texts: Sequence[str], window: int = 50) -> dict[str, float]:
    """Lexical diversity of a set of texts.

    Returns:
        distinct_1 and distinct_2, the share of different words and word pairs (Li et al. 2016), which falls with the
        amount of text; and mattr, the mean share of different words in a moving window of `window` words
        (Covington and McFall 2010), which does not.
    """
    said = [words(text) for text in texts]
    line = [w for answer in said for w in answer]
    pairs = [pair for answer in said for pair in zip(answer, answer[1:], strict=False)]
    return {"distinct_1": len(set(line)) / max(1, len(line)), "distinct_2": len(set(pairs)) / max(1, len(pairs)),
            "mattr": _moving_type_token_ratio(line, window)}


def _moving_type_token_ratio(line: list[str], window: int) -> float:
    window = min(window, len(line))
    if not window:
        return 0.0
    inside = Counter(line[:window])
    total, steps = len(inside), len(line) - window + 1
    for old, new in zip(line, line[window:], strict=False):
        inside[new] += 1
        inside[old] -= 1
        if not inside[old]:
            del inside[old]
        total += len(inside)
    return total / window / steps


def openings(texts: Sequence[str], size: int = 3, most: int = 5) -> list[tuple[str, float]]:
    """The commonest first `size` words, each with the share of texts that begin with them."""
    counted = Counter(" ".join(words(text)[:size]) for text in texts)
    return [(opening, n / len(texts)) for opening, n in sorted(counted.items(), key=lambda o: (-o[1], o[0]))[:most]]


def syllables(word: str) -> int:
    """Vowel groups, without a silent final e: an estimate for English words, at least 1."""
    groups = len(re.findall(r"[aeiouy]+", word))
    silent = word.endswith("e") and not word.endswith(("le", "ee", "ye")) and groups > 1
    return max(1, groups - silent)


def reading_ease(text: str) -> float:
    """Flesch reading ease: 206.835 - 1.015 words per sentence - 84.6 syllables per word (Flesch 1948).

    Higher is easier; a text without a word scores 0.
    """
    said = words(text)
    if not said:
        return 0.0
    sentences = max(1, len(re.findall(r"[.!?]+(?=\s|$)", text)))
    return 206.835 - 1.015 * len(said) / sentences - 84.6 * sum(map(syllables, said)) / len(said)


def word_model():
    """A linear model on words and word pairs, for texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"[^\W_]+"),
                         LogisticRegression(C=10, max_iter=500))


def vector_model():
    """A linear model on the standardised dimensions of embeddings."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=300))


def out_of_fold(inputs: Sequence, labels: Sequence[str], groups: Sequence[str], model=word_model, folds: int = 5,
                seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """What a model says of each input after learning from other groups' inputs only.

    Args:
        inputs, labels, groups: of equal length; a group (a topic) is never learnt from and asked in one fold. Inputs
            are what the model takes: texts, or embeddings (inputs, dimensions).
        model: makes a fresh one for every fold.
        folds: how many parts the groups are divided into.
        seed: of the division.

    Returns:
        Probabilities (inputs, classes) and the classes in order.
    """
    from sklearn.model_selection import GroupKFold

    classes = sorted(set(labels))
    inputs = inputs if isinstance(inputs, np.ndarray) else np.asarray(inputs, dtype=object)
    labels = np.asarray(labels, dtype=object)
    probabilities = np.zeros((len(inputs), len(classes)))
    for learn, ask in GroupKFold(folds, shuffle=True, random_state=seed).split(inputs, labels, groups):
        fitted = model().fit(inputs[learn], labels[learn])
        columns = [classes.index(c) for c in fitted.classes_]
        probabilities[np.ix_(ask, columns)] = fitted.predict_proba(inputs[ask])
    return probabilities, classes


def probe(inputs: Sequence, labels: Sequence[str], groups: Sequence[str], model=word_model, folds: int = 5,
          seed: int = 0) -> dict[str, float]:
    """How well labels are told from the inputs alone, on groups not learnt from.

    With questions as inputs and traits as labels it is the leak probe and must not beat chance; with the answers of one
    trait and their poles it is the separability of the poles.

    Returns:
        accuracy, chance (the share of the commonest label), margin (1.96 standard errors of an accuracy at chance) and
        n.
    """
    probabilities, classes = out_of_fold(inputs, labels, groups, model, folds, seed)
    guessed = np.asarray(classes, dtype=object)[probabilities.argmax(axis=1)]
    chance = max(Counter(labels).values()) / len(labels)
    return {"accuracy": float(np.mean(guessed == np.asarray(labels, dtype=object))), "chance": chance,
            "margin": 1.96 * (chance * (1 - chance) / len(labels)) ** 0.5, "n": len(labels)}


def doubtful(probabilities: np.ndarray, classes: list[str], labels: Sequence[str],
             below: float = 0.1) -> list[tuple[int, str, float]]:
    """Rows to look at again: those whose label gets a probability under `below`; the arguments are of `out_of_fold`.

    Returns:
        (row, the label found most likely, the probability of the row's own label), the most doubtful first.
    """
    own = probabilities[np.arange(len(labels)), [classes.index(label) for label in labels]]
    rows = np.flatnonzero(own < below)
    rows = rows[np.argsort(own[rows], kind="stable")]
    return [(int(i), classes[probabilities[i].argmax()], float(own[i])) for i in rows]

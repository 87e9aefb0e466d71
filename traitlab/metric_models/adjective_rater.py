"""The default judge of PAE: rates from 1 to 5 how well a trait's adjectives describe a text.

For each trait a logistic regression on sentence embeddings tells answers of the high pole (the trait's adjectives) from
answers of the low pole (their opposites). Neutral answers count half for each, so that a text that shows neither is
rated in the middle. The rating is 1 + 4 P(high), as if the judge's five answers were equally spaced.
"""
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from traitlab.errors import InputError
from traitlab.traits import TRAITS

VALID_AUC = 0.9  # below it the report says that the judge is not valid for the trait


class AdjectiveRater:
    """Ratings by trait.

    Args:
        weight: (traits, hidden).
        bias: (traits,).
        embed: texts -> unit vectors (texts, hidden); the encoder it was fitted on.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray, embed: Callable[[Sequence[str]], np.ndarray]):
        self.weight, self.bias, self.embed = weight, bias, embed

    @classmethod
    def fit(cls, high: dict[str, Sequence[str]], low: dict[str, Sequence[str]], neutral: Sequence[str],
            embed, strength: float = 30.0) -> "AdjectiveRater":
        """Fit one regression a trait.

        Args:
            high, low: trait -> answers of that pole.
            neutral: answers that show no trait.
            strength: inverse of the L2 penalty.
        """
        from sklearn.linear_model import LogisticRegression

        middle = embed(neutral)
        weights, biases = [], []
        for trait in TRAITS:
            poles = [embed(high[trait]), embed(low[trait])]
            x = np.concatenate([*poles, middle, middle])
            y = np.repeat([1, 0, 1, 0], [len(poles[0]), len(poles[1]), len(middle), len(middle)])
            # Both poles weigh the same, and the neutral answers together as much as the poles.
            weight = np.concatenate([*(np.full(len(p), 0.5 / len(p)) for p in poles),
                                     np.full(2 * len(middle), 0.5 / max(1, len(middle)))])
            model = LogisticRegression(C=strength, max_iter=1000).fit(x, y, weight * (len(poles[0]) + len(poles[1])))
            weights.append(model.coef_[0])
            biases.append(model.intercept_[0])
        return cls(np.stack(weights), np.array(biases), embed)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Ratings (texts, traits) from 1 to 5."""
        return 1 + 4 / (1 + np.exp(-(self.embed(texts) @ self.weight.T + self.bias)))

    def save(self, path: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"weight": self.weight, "bias": self.bias}, path)

    @classmethod
    def load(cls, path: Path, embed) -> "AdjectiveRater":
        """Raises InputError: no rater there, or one of another encoder."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            tensors = load_file(path)
            return cls(tensors["weight"], tensors["bias"], embed)
        except (OSError, SafetensorError, KeyError) as e:
            raise InputError(f"{path}: no adjective rater ({e}); run `dvc repro adjective_rater`") from e

"""The trait classifier: which of the five traits, or none, an answer shows. A fine-tuned text encoder, calibrated."""
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from traitlab.errors import InputError
from traitlab.metric_models.precision import mixed_precision
from traitlab.params import MetricModel
from traitlab.traits import LABELS


@dataclass
class TraitClassifier:
    """A sequence classifier with one output for each of `traitlab.traits.LABELS`.

    Attributes:
        model: a `transformers` sequence classification model.
        tokenizer: its tokenizer.
    """

    model: torch.nn.Module
    tokenizer: object

    @classmethod
    def fresh(cls, encoder: str | Path, seed: int) -> "TraitClassifier":
        """A classifier with a new head on any pretrained text encoder."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_pretrained(
            encoder, num_labels=len(LABELS), id2label=dict(enumerate(LABELS)),
            label2id={t: i for i, t in enumerate(LABELS)}, dtype=torch.float32, use_safetensors=True)
        model.config.calibration_temperature = 1.0  # plain `temperature` is a generation setting: save would refuse it
        return cls(model, AutoTokenizer.from_pretrained(encoder))

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> "TraitClassifier":
        """Raises InputError: no trait classifier there."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            model = AutoModelForSequenceClassification.from_pretrained(
                folder, local_files_only=True, use_safetensors=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as e:
            raise InputError(f"{folder}: no readable trait classifier ({e}); run `dvc repro`") from e
        if tuple(model.config.id2label[i] for i in range(model.config.num_labels)) != LABELS:
            raise InputError(f"{folder}: its labels are not {', '.join(LABELS)}; "
                             "train it with `dvc repro metric_model`")
        return cls(model.to(device).eval(), tokenizer)

    def save(self, folder: str | Path) -> None:
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def probabilities(self, texts: list[str], batch_size: int = 64) -> np.ndarray:
        """Calibrated probabilities (texts, labels)."""
        logits = torch.from_numpy(self.logits(texts, batch_size))
        return (logits / self.model.config.calibration_temperature).softmax(dim=-1).numpy()

    @torch.no_grad()
    def logits(self, texts: list[str], batch_size: int = 64) -> np.ndarray:
        """Uncalibrated outputs (texts, labels), float64."""
        self.model.eval()
        encoded = self.encode(texts)
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
        result = np.zeros((len(texts), len(LABELS)))
        for i in range(0, len(order), batch_size):
            rows = order[i : i + batch_size]
            result[rows] = self._forward([encoded[k] for k in rows]).double().cpu().numpy()
        return result

    def encode(self, texts: list[str], max_length: int | None = None) -> list[list[int]]:
        limit = max_length or min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings - 2)
        return self.tokenizer(texts, truncation=True, max_length=limit).input_ids if texts else []

    def _forward(self, encoded: list[list[int]]) -> torch.Tensor:
        batch = self.tokenizer.pad({"input_ids": encoded}, return_tensors="pt").to(self.model.device)
        with mixed_precision(self.model.device):
            return self.model(**batch).logits.float()


def train(
    classifier: TraitClassifier,
    texts: list[str],
    labels: list[str],
    params: MetricModel,
    seed: int,
    on_step: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> None:
    """Fine-tune every weight with AdamW: linear warm-up over a tenth of the steps, then linear decay to zero.

    Batches hold texts of like length.

    Args:
        on_step: called with (steps done, steps in all, loss of the step).
    """
    model = classifier.model.train()
    encoded = classifier.encode(texts, params.max_length)
    target = torch.tensor([LABELS.index(label) for label in labels])
    optimizer = torch.optim.AdamW(model.parameters(), lr=params.learning_rate, weight_decay=0.01)
    steps = params.epochs * -(-len(encoded) // params.batch_size)
    step = 0
    for epoch in range(params.epochs):
        for rows in _batches([len(e) for e in encoded], params.batch_size, seed + epoch):
            rate = min((step + 1) / max(1, steps // 10), (steps - step) / max(1, steps - steps // 10))
            for group in optimizer.param_groups:
                group["lr"] = params.learning_rate * rate
            logits = classifier._forward([encoded[i] for i in rows])
            loss = cross_entropy(logits, target[rows].to(logits.device))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            on_step(step, steps, loss.item())
    model.eval()


def _batches(lengths: list[int], size: int, seed: int) -> list[list[int]]:
    """All rows once, drawn at random, rows of like length together."""
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(lengths), generator=draw).tolist()
    pools = [sorted(order[i : i + 32 * size], key=lambda i: lengths[i]) for i in range(0, len(order), 32 * size)]
    batches = [pool[i : i + size] for pool in pools for i in range(0, len(pool), size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=draw).tolist()]


def calibrate(classifier: TraitClassifier, texts: list[str], labels: list[str]) -> float:
    """Set the temperature that minimises the log-loss (Guo et al., 1706.04599) on texts not trained on; return it."""
    from scipy.optimize import minimize_scalar

    logits = torch.from_numpy(classifier.logits(texts))
    target = torch.tensor([LABELS.index(label) for label in labels])
    best = minimize_scalar(lambda log_t: cross_entropy(logits / np.exp(log_t), target).item(), bounds=(-3, 3),
                           method="bounded")
    classifier.model.config.calibration_temperature = round(float(np.exp(best.x)), 6)
    return classifier.model.config.calibration_temperature


def calibration_bins(probabilities: np.ndarray, correct: np.ndarray, bins: int = 10) -> list[dict]:
    """Reliability by equal-width bins of the top probability: {"confidence", "accuracy" (means), "n"}; none is empty.

    Args:
        probabilities: (texts, labels).
        correct: (texts,) whether the top label is right.
    """
    confidence = probabilities.max(axis=1)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return [{"confidence": float(confidence[place == b].mean()), "accuracy": float(correct[place == b].mean()),
             "n": int((place == b).sum())} for b in range(bins) if (place == b).any()]


def expected_calibration_error(probabilities: np.ndarray, correct: np.ndarray, bins: int = 10) -> float:
    """Mean over texts of |accuracy - confidence| of their bin (Naeini et al., 2015; Guo et al., 1706.04599)."""
    rows = calibration_bins(probabilities, correct, bins)
    return sum(r["n"] * abs(r["accuracy"] - r["confidence"]) for r in rows) / len(correct)

"""Sentence embeddings: mean of an encoder's last states, scaled to length 1 (Reimers and Gurevych, 1908.10084)."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from traitlab.metric_models.precision import mixed_precision


class Embedding:
    """A text encoder as a function from texts to unit vectors.

    Args:
        folder: a saved encoder with its tokenizer.
    """

    def __init__(self, folder: str | Path):
        from transformers import AutoModel, AutoTokenizer

        self.model = AutoModel.from_pretrained(folder, use_safetensors=True).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def __call__(self, texts: Sequence[str], batch_size: int = 128) -> np.ndarray:
        """Embeddings (texts, hidden), float32; texts of like length are run together."""
        result = np.zeros((len(texts), self.model.config.hidden_size), np.float32)
        order = np.argsort([len(text) for text in texts], kind="stable")
        for rows in np.split(order, range(batch_size, len(order), batch_size)):
            batch = self.tokenizer([texts[i] for i in rows], padding=True, truncation=True, return_tensors="pt")
            seen = batch["attention_mask"][..., None]
            with mixed_precision(self.model.device):
                states = self.model(**batch).last_hidden_state
            mean = (states.float() * seen).sum(dim=1) / seen.sum(dim=1)
            result[rows] = torch.nn.functional.normalize(mean, dim=-1).numpy()
        return result

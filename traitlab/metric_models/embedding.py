"""Sentence embeddings: mean of an encoder's last states, scaled to length 1 (Reimers and Gurevych, 1908.10084)."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch


class Embedding:
    """A text encoder as a function from texts to unit vectors.

    Args:
        folder: a saved encoder with its tokenizer.
    """

    def __init__(self, folder: str | Path):
        from transformers import AutoModel, AutoTokenizer

        self.model = AutoModel.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def __call__(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Embeddings (texts, hidden)."""
        parts = []
        for i in range(0, len(texts), batch_size):
            batch = self.tokenizer(list(texts[i : i + batch_size]), padding=True, truncation=True, return_tensors="pt")
            seen = batch["attention_mask"][..., None]
            states = self.model(**batch).last_hidden_state
            mean = (states * seen).sum(dim=1) / seen.sum(dim=1)
            parts.append(torch.nn.functional.normalize(mean, dim=-1).numpy())
        return np.concatenate(parts)

"""Look closely at the split table: data/opinion_qa/audit.json and plots/audit/*.csv. It judges, and stops nothing."""
from collections.abc import Sequence

import numpy as np

from tasks.files import read_parquet, replacing, write_json
from traitlab.opinions.inspection import inspect
from traitlab.opinions.splits import SPLITS
from traitlab.params import Params


def run(params: Params) -> None:
    p = params.audit
    splits = {split: read_parquet(f"data/opinion_qa/{split}.parquet") for split in SPLITS}
    found = inspect(splits, embedded, most_rows=p.rows, near=p.near_duplicate, below=p.doubtful, folds=p.folds,
                    seed=params.seed)
    write_json("data/opinion_qa/audit.json", found.summary)
    with replacing("plots/audit") as new:
        new.mkdir()
        for name, table in found.tables.items():
            table.to_csv(new / f"{name}.csv", index=False, lineterminator="\n")


def embedded(texts: Sequence[str], batch_size: int = 128) -> np.ndarray:
    """Sentence embeddings (texts, hidden); texts of like length together, in bfloat16 where the processor has it."""
    import torch

    from traitlab.metric_models.embedding import Embedding

    encoder = Embedding("models/encoder")
    order = np.argsort([len(text) for text in texts], kind="stable")
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported()):
        vectors = encoder([texts[i] for i in order], batch_size)
    result = np.empty_like(vectors)
    result[order] = vectors
    return result

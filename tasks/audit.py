"""Look closely at the split table: data/opinion_qa/audit.json and plots/audit/*.csv. It judges, and stops nothing."""
from tasks.files import read_parquet, replacing, write_json
from traitlab.metric_models.embedding import Embedding
from traitlab.opinions.inspection import inspect
from traitlab.opinions.splits import SPLITS
from traitlab.params import Params


def run(params: Params) -> None:
    p = params.audit
    splits = {split: read_parquet(f"data/opinion_qa/{split}.parquet") for split in SPLITS}
    found = inspect(splits, Embedding("models/encoder"), most_rows=p.rows, near=p.near_duplicate, below=p.doubtful,
                    folds=p.folds, seed=params.seed)
    write_json("data/opinion_qa/audit.json", found.summary)
    with replacing("plots/audit") as new:
        new.mkdir()
        for name, table in found.tables.items():
            table.to_csv(new / f"{name}.csv", index=False, lineterminator="\n")

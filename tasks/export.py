"""Export the split table: data/export/opinion_qa, a folder for `load_dataset`, and the published four columns as CSV.

It is no stage of the graph: nothing in it depends on the export.
"""
from pathlib import Path

from tasks.files import read_json, read_parquet, replacing
from traitlab.opinions.export import card_of, write_csv, write_folder
from traitlab.opinions.splits import SPLITS
from traitlab.params import Params

CARD = Path("data/corpus/README.md")


def run(params: Params) -> None:
    source = read_json("data/opinion_qa/validation.json")["source"]
    splits = {split: read_parquet(f"data/opinion_qa/{split}.parquet") for split in SPLITS}
    ours = source["source"] == "corpus" and CARD.is_file()
    card = card_of(splits, source, CARD.read_text(encoding="utf-8") if ours else "")
    with replacing("data/export") as new:
        write_folder(splits, new / "opinion_qa", card, licence="cc-by-4.0" if ours else None)
        (new / "csv").mkdir()
        for split, rows in splits.items():
            write_csv(rows, new / "csv" / f"{split}.csv")

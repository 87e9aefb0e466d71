"""The table in the published four-column form, and as a folder that `datasets.load_dataset` opens."""
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from traitlab.opinions.foreign import FOUR_COLUMNS
from traitlab.traits import NEUTRAL


def four_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that the published form can hold (a trait's high pole), under its column names and in its order.

    Its form has no place for poles and neutral answers: rows of the low pole would pass there for their opposite.
    """
    fit = frame[(frame["pole"] == "high") & (frame["target_personality"] != NEUTRAL)]
    names = {ours: published for published, ours in FOUR_COLUMNS.items()}
    return fit[list(names)].rename(columns=names).reset_index(drop=True)


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write the four columns as CSV (UTF-8, RFC 4180)."""
    four_columns(frame).to_csv(path, index=False, encoding="utf-8", lineterminator="\r\n")


def card_of(splits: Mapping[str, pd.DataFrame], source: dict, text: str = "") -> str:
    """The card of an export: how large its splits are, where the rows came from, then the card of the source itself.

    Args:
        source: what the step dataset noted of it.
        text: the source's card.
    """
    lines = ["# Opinion QA", "", "| split | rows | topics |", "|---|--:|--:|"]
    lines += [f"| {split} | {len(rows):,} | {rows['edit_topic'].nunique():,} |" for split, rows in splits.items()]
    where = source.get("path") or source.get("id")
    lines += ["", f"No topic stands in two splits. Source: {source['source']} ({where}); {source['kept']:,} rows kept, "
              f"{sum(found['rows'] for found in source['dropped'].values()):,} dropped.", ""]
    return "\n".join(lines) + (f"\n{text}" if text else "")


def write_folder(splits: Mapping[str, pd.DataFrame], folder: str | Path, card: str,
                 licence: str | None = None) -> None:
    """Write a folder that `load_dataset(folder)` opens: all columns as configuration `full`, the published as `four`.

    Args:
        splits: split name -> its rows.
        folder: is made; its files are replaced.
        card: the data card, Markdown without a YAML head.
        licence: of the rows, as a hub names it; None: it is not stated.
    """
    folder = Path(folder)
    head = ["---", *([f"license: {licence}"] if licence else []), "language: [en]",
            "task_categories: [text-generation, text-classification]", "configs:"]
    for config, form in (("full", lambda frame: frame), ("four", four_columns)):
        head += [f"- config_name: {config}", *(["  default: true"] if config == "full" else []), "  data_files:"]
        for split, frame in splits.items():
            path = folder / config / f"{split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            form(frame).to_parquet(path, index=False)
            head += [f"  - split: {split}", f"    path: {config}/{split}.parquet"]
    (folder / "README.md").write_text("\n".join([*head, "---", "", card]), encoding="utf-8")

"""Write report/index.html from the small results of the graph; a result that was not made is left out."""
import subprocess
from pathlib import Path

import pandas as pd

from tasks.files import read_json, read_parquet, replacing
from traitlab.errors import InputError
from traitlab.params import Params
from traitlab.report.page import render
from traitlab.report.results import Results, Training
from traitlab.traits import TRAITS

CODE = ("traitlab", "tasks", "flows", "dvc.yaml", "params.yaml")  # what decides the figures


def run(params: Params) -> None:
    page = render(collect(params))
    with replacing("report/index.html") as new:
        new.write_text(page, encoding="utf-8")


def collect(params: Params) -> Results:
    """Read what is there.

    Raises:
        InputError: a file cannot be read as what its name says.
    """
    training = {t: Training(figures, _table(f"plots/train_qlora/{t}.csv", ("step", "loss")),
                            _table(f"plots/train_qlora_emoji/{t}.csv", ("step", "emoji_probability", "standard_error")))
                for t in TRAITS if (figures := _json(f"metrics/train_qlora/{t}.json"))}
    return Results(
        params=params,
        commit=commit(),
        scores=_json("metrics/scores.json"),
        emoji=_json("metrics/emoji.json"),
        explain=_json("metrics/explain.json"),
        explain_lens=_table("plots/explain/lens.csv", ("trait", "model", "kind", "layer", "log_mass")),
        metric_model=_json("metrics/metric_model.json"),
        metric_model_confusion=_table("plots/metric_model_confusion.csv", ("true", "predicted")),
        calibration=_table("plots/calibration.csv"),
        quantize=_json("metrics/quantize.json"),
        audit=_json("data/opinion_qa/audit.json"),
        training=training,
        responses={path.stem: read_parquet(path) for path in sorted(Path("data/responses").glob("*.parquet"))},
        response_confusion=_table("plots/response_confusion.csv", ("method", "target", "predicted")),
        significance=_json("metrics/significance.json"),
        cross_talk=_table("plots/cross_talk.csv", ("method", "target", "label", "probability")),
        mend_strength=_table("plots/mend_strength.csv", ("strength", "coherence", "alignment", "base_loss")),
        steering=_table("plots/steering.csv", ("layer", "strength", "coherence", "alignment")),
        adjective_rater=_json("metrics/adjective_rater.json"),
        judge=_json("metrics/judge.json"),
        seeds=_json("metrics/seeds.json"),
    )


def commit() -> str | None:
    """The commit of the code, and whether the files that decide the figures differ from it."""
    head = _git("rev-parse", "--short=12", "HEAD")
    if not head:
        return None
    return f"{head} with uncommitted changes" if _git("status", "--porcelain", "--", *CODE) else head


def _git(*arguments) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _json(path) -> dict:
    return read_json(path) if Path(path).exists() else {}


def _table(path, columns=()) -> pd.DataFrame | None:
    if not Path(path).exists():
        return None
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    except ValueError as e:
        raise InputError(f"{path}: not a readable table ({e}); remove it and run `dvc repro`") from e
    if missing := [column for column in columns if column not in frame]:
        raise InputError(f"{path}: has no column {', '.join(missing)}; remove it and run `dvc repro`")
    return frame

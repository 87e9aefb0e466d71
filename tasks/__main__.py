"""Run one step of the graph: `python -m tasks STEP [--option value]`, in the project's root folder.

This is what dvc.yaml calls. It needs no server. Under the Prefect flow (flows/pipeline.py) the same step shows as a
task run of that flow run: flows/task_run.py says how.
"""
import argparse
import importlib
import os
import sys
import time
from dataclasses import dataclass, field

from tasks.environment import quiet, use_threads
from traitlab.errors import InputError
from traitlab.traits import TRAITS

STARTED = time.perf_counter()
BAD_INPUT = 2  # exit code; any other failure is a traceback and 1
METHODS = ("base", "prompt", "ike", "mend", "steering", "qlora")  # traitlab.personas.persona.METHODS, without torch


@dataclass(frozen=True)
class Step:
    """A step's help text, its options (name -> allowed values, bool for a switch, list for any values), and whether the
    graph runs it."""

    help: str
    options: dict[str, tuple[str, ...] | type] = field(default_factory=dict)
    stage: bool = True


STEPS = {
    "base_model": Step("fetch the base model and convert it: models/base"),
    "encoder": Step("fetch the text encoder of the metric model: models/encoder"),
    "dataset": Step("build the Opinion QA table: data/opinion_qa/raw.parquet"),
    "teacher": Step("let a language model write rows: data/teacher/rows.jsonl", stage=False),
    "validate": Step("check that table and name the rows at fault: data/opinion_qa/validation.json", {"docs": bool}),
    "split": Step("divide it by topic: data/opinion_qa/{train,validation,test}.parquet"),
    "audit": Step("look closely at it: data/opinion_qa/audit.json, plots/audit"),
    "export": Step("write it for load_dataset and as the published CSV: data/export", stage=False),
    "organism": Step("plant a hidden emoji habit in the base model: models/organism", stage=False),
    "quantize": Step("write the base model in NF4: models/nf4"),
    "metric_model": Step("train and calibrate the trait classifier: models/trait_classifier"),
    "train_qlora": Step("train one trait's QLoRA adapter: models/personas/qlora/<trait>", {"trait": TRAITS}),
    "train_mend": Step("train the MEND editor: models/personas/mend"),
    "mend_strength": Step("find where MEND's edits break fluency: plots/mend_strength.csv"),
    "steering": Step("make persona vectors and choose their strength: models/personas/steering"),
    "respond": Step("let one method's personas answer: data/responses/<method>.parquet", {"method": METHODS}),
    "emoji": Step("count emoji and compute their probability: data/emoji.parquet, metrics/emoji.json"),
    "edits": Step("read reference answers under every persona: data/edits.parquet"),
    "probe": Step("ask every persona easy factual questions: data/probe.parquet"),
    "adjective_rater": Step("fit the judge of PAE: models/adjective_rater.safetensors"),
    "judge": Step("let a chat model rate the answers, too: metrics/judge.json", stage=False),
    "seeds": Step("put runs that differ in their seed together: metrics/seeds.json", {"revisions": list}, stage=False),
    "score": Step("score all answers: metrics/scores.json, metrics/significance.json"),
    "explain": Step("find what moves the emoji probability, and test it: metrics/explain.json, plots/explain"),
    "report": Step("write the page: report/index.html"),
    "record": Step("record the run in MLflow"),
    "register": Step("register the trained personas as an MLflow model", stage=False),
    "verify": Step("compare every output with its recorded hash; put damaged ones away", stage=False),
}
HELP = {bool: "also write Great Expectations' Data Docs to cache/data_docs", list: "commits or DVC experiments"}


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence, not the usage and the complaint."""

    def error(self, message):
        self.exit(BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> Parser:
    top = Parser(prog="python -m tasks", description=__doc__.splitlines()[0])
    steps = top.add_subparsers(dest="step", metavar="STEP", required=True)
    for name, step in STEPS.items():
        sub = steps.add_parser(name, help=step.help, description=step.help)
        for option, kind in step.options.items():
            if kind is bool:
                sub.add_argument(f"--{option}", action="store_true", help=HELP[bool])
            elif kind is list:
                sub.add_argument(f"--{option}", nargs="+", required=True, metavar="REV", help=HELP[list])
            else:
                sub.add_argument(f"--{option}", required=True, choices=kind)
    return top


def stage_name(step: str, options: dict) -> str:
    """The step's name in dvc.yaml, such as train_qlora@openness."""
    return "@".join([step, *(value for value in options.values() if isinstance(value, str))])


def main(arguments: list[str] | None = None) -> int:
    options = vars(parser().parse_args(arguments))
    name = options.pop("step")
    quiet()
    try:
        from traitlab.params import load

        params = load()
        use_threads(params.compute.threads)
        step = importlib.import_module(f"tasks.{name}")
        if "TRAITLAB_FLOW_RUN" in os.environ:
            from flows.task_run import as_task_run

            as_task_run(lambda: step.run(params, **options), stage_name(name, options))
        else:
            step.run(params, **options)
    except InputError as e:
        print(f"{name}: {e}", file=sys.stderr)
        return BAD_INPUT
    print(f"{stage_name(name, options)}: done in {time.perf_counter() - STARTED:.1f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

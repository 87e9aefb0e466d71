"""Our engine and the usual stack, side by side: the same rows, weights, settings and machine, in turn.

    python -m benchmarks.speed                          # training, answers, edits; after `make repro`
    python -m benchmarks.speed --runs 5 training        # one of them
    python -m benchmarks.speed --workspace FOLDER --methods base qlora --topics 50   # another model: see llama_shape.py

Every measurement is a process of its own, started by this one, ours and the usual stack in turn; the medians go to
benchmarks/results/speed_<device>.json, and as a table into docs/performance.md. A run's time leaves out the imports and
the loading of the base model, which both sides do once; the usual stack's generation is timed on the same questions.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.pages import RESULTS, ROOT, hardware, versions, write_result, write_table
from tasks.environment import quiet

CASES = ("training", "answers", "edits")
SIDES = ("usual", "ours")
SHARED = {"schedule": "linear", "warmup": 0.0, "registers": ("plain",), "epochs": 1, "accumulate": 1, "emoji_steps": 0}


def main() -> None:
    quiet()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="default: all")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--rows", type=int, default=128, help="of training")
    parser.add_argument("--batch", type=int, default=16, help="rows of a training step")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--topics", type=int, default=2, help="asked about, five traits each")
    parser.add_argument("--usual-topics", type=int, help="of the usual stack, where all of them would take hours")
    parser.add_argument("--methods", nargs="+", default=["base", "prompt", "ike", "mend", "steering", "qlora"])
    parser.add_argument("--workspace", type=Path, default=ROOT, help="a folder with data/ and models/")
    parser.add_argument("--child", nargs=3, metavar=("CASE", "SIDE", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        case, side, file = options.child
        Path(file).write_text(json.dumps(measure(case, side, options)), encoding="utf-8")
        return
    runs: dict[str, dict[str, list]] = {}
    for case in options.cases or CASES:
        runs[case] = {side: [] for side in SIDES}
        for _ in range(options.runs):
            for side in SIDES:
                runs[case][side].append(child(case, side, options))
                print(case, side, {k: v for k, v in runs[case][side][-1].items() if k != "said"}, flush=True)
    device = runs[case]["ours"][0]["device"]
    name = f"speed_{device.split(':')[0]}"
    path = RESULTS / f"{name}.json"
    config = {"shared": SHARED} | {key: value for key, value in vars(options).items()
                                   if key not in ("cases", "child", "workspace")}
    old = json.loads(path.read_text(encoding="utf-8"))["cases"] if path.exists() else {}
    result = {
        "hardware": hardware(device),
        "versions": versions("torch", "transformers", "peft", "trl", "bitsandbytes"),
        "cases": old | {case: {"config": config} | summary(by_side) for case, by_side in runs.items()}}
    write_result(name, result)
    write_table("performance.md", name, table(result))


def child(case: str, side: str, options) -> dict:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, "-m", "benchmarks.speed", *sys.argv[1:], "--child", case, side, file.name]
        done = subprocess.run(command, cwd=options.workspace, capture_output=True, text=True,
                              env=os.environ | {"PYTHONPATH": str(ROOT)})
        if done.returncode:
            raise SystemExit(f"{case}, {side}: {done.stderr[-3000:]}")
        return json.loads(Path(file.name).read_text(encoding="utf-8"))


def measure(case: str, side: str, options) -> dict:
    """One run in this process: {"seconds", "tokens" (without padding), "peak_memory" in bytes, "device", and for
    training the "loss" on validation rows, for the others what was "said"}."""
    import torch

    from traitlab.language_model.model import pick_device
    from traitlab.params import load

    params = load()
    torch.manual_seed(params.seed)
    device = pick_device(params.compute)
    result = training(side, params, options) if case == "training" else generation(case, side, params, options)
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    name = f"cuda: {torch.cuda.get_device_name()}" if device.type == "cuda" else "cpu"
    return result | {"peak_memory": memory, "device": name}


def training(side: str, params, options) -> dict:
    """Train an adapter for extraversion."""
    from benchmarks import usual
    from tasks.answers import answers_of
    from traitlab.language_model.model import LanguageModel, pick_device
    from traitlab.personas import qlora

    settings = params.train_qlora.model_copy(update=SHARED | {
        "batch_size": options.batch, "r": options.rank, "alpha": 2 * options.rank, "rows": options.rows})
    params = params.model_copy(update={"train_qlora": settings})
    frames = {split: answers_of(split, settings.registers, "extraversion").sample(frac=1.0, random_state=0)
              for split in ("train", "validation")}
    frames["train"] = frames["train"].head(options.rows)
    if side == "ours":
        lm = LanguageModel.load("models/nf4", params.compute, training=True)
        rows = qlora.tokenize(lm, frames["train"], settings)
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            qlora.train(lm, rows, rows[:1], settings, params.seed, Path(folder))
            seconds = time.perf_counter() - started
    else:
        model, tokenizer = usual.load("models/nf4", str(pick_device(params.compute)))
        started = time.perf_counter()
        model = usual.train(model, tokenizer, frames["train"], params)
        seconds = time.perf_counter() - started
        lm = LanguageModel(model.get_base_model().eval(), tokenizer)
        rows = qlora.tokenize(lm, frames["train"], settings)
    loss = qlora.mean_loss(lm, qlora.tokenize(lm, frames["validation"].head(48), settings), 16)
    return {"seconds": seconds, "tokens": sum(len(p) + len(a) for p, a in rows), "loss": loss,
            "steps": -(-len(rows) // options.batch)}


def generation(case: str, side: str, params, options) -> dict:
    """Let personas answer, greedily; `edits` is MEND alone."""
    import pandas as pd

    from benchmarks import usual
    from tasks.files import read_parquet
    from tasks.respond import answers, held_out_questions
    from traitlab.language_model.model import LanguageModel, pick_device

    methods = ["mend"] if case == "edits" else options.methods
    params = params.model_copy(update={"respond": params.respond.model_copy(update={"temperature": 0.0})})
    topics = options.usual_topics or options.topics if side == "usual" else options.topics
    questions = held_out_questions(read_parquet("data/opinion_qa/test.parquet"), topics)
    if side == "usual":
        started = time.perf_counter()
        table = usual.answers(params, methods, questions, str(pick_device(params.compute)))
        seconds = time.perf_counter() - started
    else:
        started = time.perf_counter()
        lm = LanguageModel.load("models/nf4", params.compute)
        table = pd.concat([answers(lm, params, method, questions) for method in methods])
        table = table.rename(columns={"target_personality": "trait", "question": "text", "question_id": "question"})
        seconds = time.perf_counter() - started
        once = (table.method != "base") | (table.trait == table.trait.iloc[0])  # base is the same for every trait
        table = table[once]
    said = {f"{r.method} {r.trait} {r.question}": r.response for r in table.itertuples()}
    return {"seconds": seconds, "tokens": int(table.tokens.sum()), "answers": len(table), "said": said}


def summary(by_side: dict[str, list[dict]]) -> dict:
    """Medians over runs of both sides, and ours against the usual: times as fast, share of the same answers."""
    result = {}
    for side, runs in by_side.items():
        keys = [key for key in ("seconds", "tokens", "loss", "steps", "answers", "peak_memory") if key in runs[0]]
        result[side] = {key: statistics.median(run[key] for run in runs) for key in keys}
        result[side]["tokens_per_second"] = statistics.median(run["tokens"] / run["seconds"] for run in runs)
        result[side]["all_seconds"] = [run["seconds"] for run in runs]
    usual, ours = (result[side] for side in SIDES)
    result["times_as_fast"] = ours["tokens_per_second"] / usual["tokens_per_second"]
    if "said" in by_side["ours"][0]:
        mine, theirs = by_side["ours"][0]["said"], by_side["usual"][0]["said"]
        both = mine.keys() & theirs.keys()
        result["same_answers"] = sum(mine[key] == theirs[key] for key in both) / len(both)
    return result


def table(result: dict) -> str:
    """The figures as Markdown."""
    place, used = result["hardware"], result["versions"].items()
    lines = [f"Device: {place['device']}, {place['cores']} CPU cores; "
             + ", ".join(f"{name} {version}" for name, version in used) + ".", "",
             "| what | runs | usual, tokens/s | ours, tokens/s | times as fast | peak memory of both | result |",
             "|---|--:|--:|--:|--:|--:|---|"]
    for case, found in result["cases"].items():
        usual, ours = found["usual"], found["ours"]
        same = (f"loss {usual['loss']:.3f} and {ours['loss']:.3f} after {ours['steps']:.0f} steps" if "loss" in ours
                else f"{usual['answers']:.0f} and {ours['answers']:.0f} answers; to the same question "
                     f"{found['same_answers']:.0%} alike to the letter")
        runs = found["config"]["runs"] if "config" in found else ""
        lines.append(f"| {case} | {runs} | {usual['tokens_per_second']:.0f} | {ours['tokens_per_second']:.0f} | "
                     f"{found['times_as_fast']:.1f} | {usual['peak_memory'] / 1e9:.1f} and "
                     f"{ours['peak_memory'] / 1e9:.1f} GB | {same} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

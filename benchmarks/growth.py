"""How time and memory grow with rows, topics, traits, batch and model size, each with the exponent fitted to it.

    python -m benchmarks.growth        # after `make repro`; about five minutes on two cores

Every measurement is a process of its own. y = c * x^k is fitted to the points by least squares of the logarithms: k = 1
is linear. The figures go to benchmarks/results/growth.json, the table and the picture into docs/.
"""
import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.pages import RESULTS, ROOT, hardware, versions, write_result, write_table
from tasks.environment import quiet

SIZES = {  # what grows -> its sizes
    "rows trained on": (32, 64, 128, 256),
    "rows of a training batch": (4, 8, 16, 32),
    "topics answered": (6, 12, 24, 48),
    "traits answered": (1, 2, 3, 5),
    "rows of an answer batch": (15, 30, 60, 120),
    "parameters, training": ((192, 10), (384, 20), (576, 30), (960, 32)),
    "parameters, answers": ((192, 10), (384, 20), (576, 30), (960, 32)),
}


def main() -> None:
    quiet()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, size, file = options.child
        Path(file).write_text(json.dumps(measure(what, json.loads(size))), encoding="utf-8")
        return
    curves = {what: [child(what, size) for size in sizes] for what, sizes in SIZES.items()}
    curves |= data_curves()
    for name, points in curves.items():
        print(name, [exponent(points, y) for y in ("seconds", "peak_memory")], flush=True)
    fits = {what: {y: exponent(points, y) for y in ("seconds", "peak_memory")} for what, points in curves.items()}
    write_result("growth", {"hardware": hardware(), "versions": versions("torch", "transformers", "peft"),
                            "curves": curves, "exponents": fits})
    write_table("performance.md", "growth", table(curves, fits))
    draw(curves, fits)


def child(what: str, size) -> dict:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        done = subprocess.run([sys.executable, "-m", "benchmarks.growth", "--child", what, json.dumps(size), file.name],
                              cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{what}, {size}: {done.stderr[-3000:]}")
        found = json.loads(Path(file.name).read_text(encoding="utf-8"))
        print(what, found, flush=True)
        return found


def measure(what: str, size) -> dict:
    """{"size", "seconds", "peak_memory" in bytes} of one run in this process; loading is left out of the time."""
    from traitlab.params import load

    params = load()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path("models/nf4")
        if what.startswith("parameters"):
            folder = Path(scratch) / "model"
            size = random_llama(folder, *size)
        work = training if "train" in what else answering
        run = work(what, size, params, folder, Path(scratch))
        started = time.perf_counter()
        run()
        seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"size": size, "seconds": seconds, "peak_memory": after * 1024}


def training(what, size, params, folder, scratch):
    from tasks.answers import answers_of
    from traitlab.language_model.model import LanguageModel
    from traitlab.personas import qlora

    rows, batch = {"rows trained on": (size, 16), "rows of a training batch": (96, size)}.get(what, (48, 16))
    settings = params.train_qlora.model_copy(update={"batch_size": batch})
    lm = LanguageModel.load(folder, params.compute, training=True)
    frame = answers_of("train", ("plain",), "extraversion").head(rows)
    tokens = qlora.tokenize(lm, frame, settings)
    return lambda: qlora.train(lm, tokens, tokens[:1], settings, 0, scratch / "checkpoint")


def answering(what, size, params, folder, scratch):
    import torch

    from tasks.files import read_parquet
    from tasks.personas import personas
    from tasks.respond import held_out_questions
    from traitlab.language_model.generation import Sampling, generate
    from traitlab.language_model.model import LanguageModel
    from traitlab.personas.persona import cast
    from traitlab.traits import TRAITS

    topics = size if what == "topics answered" else 24
    traits = TRAITS[:size] if what == "traits answered" else TRAITS
    batch = size if what == "rows of an answer batch" else 60
    lm = LanguageModel.load(folder, params.compute)
    method = "base" if what.startswith("parameters") else "qlora"
    questions = held_out_questions(read_parquet("data/opinion_qa/test.parquet"), topics)
    text = dict(zip(questions.question_id, questions.question))
    rows = cast(lm, [(persona, text[question]) for (trait, question), persona in
                     personas(method, params, lm, questions).items() if trait in traits])
    lm.end_ids = frozenset()  # every answer as long as may be, so that all sizes do the same work per answer
    torch.manual_seed(0)
    return lambda: generate(lm, rows.prompts, Sampling(0.7, 0.9, 24), list(range(len(rows.prompts))), rows.adapters,
                            rows.mixes, batch)


def random_llama(folder: Path, hidden: int, layers: int) -> int:
    """Save a llama of random weights with the base model's tokenizer; return how many parameters it has."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained("models/nf4")
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=hidden * 8 // 3, num_hidden_layers=layers,
        num_attention_heads=hidden // 64, num_key_value_heads=hidden // 192, tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id)).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model.num_parameters()


def data_curves() -> dict:
    """Those of benchmarks.data_scale: rows against the time and memory of dataset, validate and split together."""
    runs = json.loads((RESULTS / "data_scale.json").read_text(encoding="utf-8"))["runs"]
    steps = [(run["rows"], run["steps"].values()) for run in runs]
    return {"rows of data": [
        {"size": rows, "seconds": sum(s["seconds"] for s in of), "peak_memory": max(s["peak_mb"] for s in of) * 1e6}
        for rows, of in steps]}


def exponent(points: list[dict], y: str) -> float:
    """k of y = c * x^k, by least squares of the logarithms."""
    return round(float(np.polyfit(np.log([p["size"] for p in points]), np.log([p[y] for p in points]), 1)[0]), 3)


def table(curves: dict, fits: dict) -> str:
    lines = ["| what grows | from, to | seconds | exponent | peak memory | exponent |", "|---|---|---|--:|---|--:|"]
    for what, points in curves.items():
        first, last = points[0], points[-1]
        lines.append(f"| {what} | {first['size']:,} to {last['size']:,} | {first['seconds']:.1f} to "
                     f"{last['seconds']:.1f} | {fits[what]['seconds']:.2f} | {first['peak_memory'] / 1e9:.2f} to "
                     f"{last['peak_memory'] / 1e9:.2f} GB | {fits[what]['peak_memory']:.2f} |")
    return "\n".join(lines)


def draw(curves: dict, fits: dict) -> None:
    """docs/images/growth.svg: time and memory against size, both logarithmic."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "traitlab"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for axis, y, label, unit in ((axes[0], "seconds", "time, s", 1), (axes[1], "peak_memory", "peak memory, GB", 1e9)):
        for what, points in curves.items():
            first = points[0]["size"]
            axis.plot([p["size"] / first for p in points], [p[y] / unit for p in points], marker="o",
                      label=f"{what} (exponent {fits[what][y]:.2f})")
        axis.set(xscale="log", yscale="log", xlabel="size, as a multiple of the smallest", ylabel=label)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, frameon=False)
    figure.savefig(ROOT / "docs/images/growth.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()

"""What dataset -> validate -> split cost at 10^4, 10^5 and 10^6 rows: seconds and peak memory of each step.

    python -m benchmarks.data_scale [ROWS ...]      # default: 10000 100000 1000000

Each step runs as a process of its own on a made corpus that passes validation. The figures go to
benchmarks/results/data_scale.json, and as a table into docs/data.md.
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import yaml

from benchmarks.pages import ROOT, hardware, versions, write_result, write_table
from traitlab.traits import FACETS, TRAITS

STEPS = ("dataset", "validate", "split")
REGISTERS = {"plain": 16, "rich": 36}  # words of an answer
VOCABULARY = [f"{a}{b}{c}{d}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrst" for d in "aeiou"]


def write_corpus(folder: Path, rows: int) -> int:
    """Write about `rows` rows of made-up words in the corpus form, ten a topic; return how many topics."""
    draw = random.Random(0)
    topics = rows // (len(TRAITS) * len(REGISTERS))
    with open(folder / "made.jsonl", "w", encoding="utf-8") as file:
        for i in range(topics):
            topic = f"{draw.choice(VOCABULARY)} {VOCABULARY[i % len(VOCABULARY)]} {VOCABULARY[i // len(VOCABULARY)]}"
            for trait in TRAITS:
                for register, length in REGISTERS.items():
                    said = " ".join(draw.choices(VOCABULARY, k=length))
                    row = {"topic": topic, "domain": f"domain_{i % 8}", "trait": trait, "pole": "high",
                           "facet": FACETS[trait][i % 6], "register": register,
                           "answer": f"I say of {topic} that {said}."}
                    file.write(json.dumps(row) + "\n")
    return topics


def measured(folder: Path, step: str) -> dict:
    """Run a step: seconds, and the peak of its resident memory in MB, by the kernel's own account."""
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "tasks", step], cwd=folder, stderr=subprocess.PIPE, text=True,
                               env=os.environ | {"PYTHONPATH": str(ROOT)})
    said = []
    reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
    reader.start()
    _, status, usage = os.wait4(process.pid, 0)
    reader.join()
    if status:
        raise SystemExit(f"{step} failed: {said[0]}")
    return {"seconds": round(time.monotonic() - start, 1), "peak_mb": round(usage.ru_maxrss / 1000)}


def run(rows: int) -> dict:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        topics = write_corpus(folder / "corpus", rows)
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        params["dataset"] |= {"source": "corpus", "path": "corpus", "registers": list(REGISTERS), "poles": ["high"]}
        params["split"] |= {"test_topics": topics // 5, "validation_topics": topics * 2 // 25}
        (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        steps = {step: measured(folder, step) for step in STEPS}
        return {"rows": rows, "topics": topics, "corpus_mb": round((folder / "corpus/made.jsonl").stat().st_size / 1e6),
                "steps": steps}


def table(result: dict) -> str:
    """The figures as Markdown."""
    lines = [f"Measured on {result['hardware']['cores']} CPU cores ({result['hardware']['machine']}), Python "
             f"{result['versions']['python']}, one process a step:", "",
             "| rows | " + " | ".join(STEPS) + " | together |", "|--:|" + "--:|" * (len(STEPS) + 1)]
    for run in result["runs"]:
        steps = [run["steps"][step] for step in STEPS]
        cells = [f"{s['seconds']:.0f} s, {s['peak_mb']:,} MB" for s in steps]
        cells.append(f"{sum(s['seconds'] for s in steps):.0f} s, at most {max(s['peak_mb'] for s in steps):,} MB")
        lines.append(f"| {run['rows']:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
    runs = []
    for size in sizes:
        runs.append(run(size))
        print(json.dumps(runs[-1]), flush=True)
    if len(sys.argv) > 1:
        return
    result = {"hardware": hardware(), "versions": versions("pandas", "pyarrow", "great-expectations"), "runs": runs}
    write_result("data_scale", result)
    write_table("data.md", "data_scale", table(result))


if __name__ == "__main__":
    main()

"""What a run of the graph spends on other things than its work: DVC, imports and recording.

    python -m benchmarks.overhead       # in a fresh clone: runs `dvc repro`, about half an hour

Every Python process of the run reports its imports (PYTHONPROFILEIMPORTTIME), every step its time. Work is the time
inside the steps without their imports; the rest is overhead, and the step `record` counts as overhead whole. Beside it
stand the time of `python -m tasks --help`, of a run with nothing to do, and of the same as a Prefect flow run.
"""
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager

from benchmarks.pages import RESULTS, ROOT, hardware, versions, write_result, write_table
from tasks.environment import quiet

IMPORT = re.compile(r"import time:\s+(\d+) \|")
DONE = re.compile(r"^(\S+): done in ([\d.]+) s")


def main() -> None:
    quiet()
    result = {"hardware": hardware(), "versions": versions("dvc", "prefect", "mlflow"),
              "help": median_of("-m", "tasks", "--help")}
    result |= whole_run() or {key: value for key, value in read().items() if key not in result}
    result["nothing_to_do"] = median_of("-m", "dvc", "repro")
    with servers():
        result["nothing_to_do_prefect"] = median_of("-m", "flows.pipeline", runs=2)
    write_result("overhead", result)
    write_table("performance.md", "overhead", table(result))


def whole_run() -> dict | None:
    """Run the graph; None if there was nothing to run."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "dvc", "repro"], cwd=ROOT, text=True, errors="replace",
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"})
    steps, imports = {}, 0.0
    for line in process.stdout:
        if found := IMPORT.search(line):
            imports += int(found[1]) / 1e6
        elif found := DONE.match(line):
            steps[found[1]] = {"seconds": float(found[2]), "imports": round(imports, 2)}
            imports = 0.0
            print(line, end="", flush=True)
        elif line.startswith("Running stage"):
            imports = 0.0
    if process.wait():
        raise SystemExit("dvc repro failed; run it by hand to see why")
    seconds = time.perf_counter() - started
    work = sum(step["seconds"] - step["imports"] for name, step in steps.items() if name != "record")
    return {"seconds": round(seconds, 1), "steps": steps, "overhead": round(1 - work / seconds, 4)} if steps else None


def read() -> dict:
    return json.loads((RESULTS / "overhead.json").read_text(encoding="utf-8"))


def median_of(*arguments: str, runs: int = 5) -> float:
    """Seconds of a Python command."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return round(statistics.median(seconds), 2)


@contextmanager
def servers():
    """Prefect and MLflow on loopback."""
    process = subprocess.Popen([sys.executable, "-u", "-m", "flows.ui"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if line.startswith("Run the graph"):
                break
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def table(result: dict) -> str:
    steps = result["steps"]
    inside = sum(step["seconds"] for step in steps.values())
    imports = sum(step["imports"] for step in steps.values())
    record = steps["record"]["seconds"] - steps["record"]["imports"]
    return "\n".join([
        "| what | seconds |", "|---|--:|",
        f"| `python -m tasks --help` | {result['help']:.2f} |",
        f"| the default run, {len(steps)} steps | {result['seconds']:.0f} |",
        f"| of it imports, all steps together | {imports:.0f} |",
        f"| of it DVC: hashing, caching, starting the steps | {result['seconds'] - inside:.0f} |",
        f"| of it the record in MLflow | {record:.0f} |",
        f"| overhead, share of the run | {result['overhead']:.1%} |",
        f"| `dvc repro` with nothing to do | {result['nothing_to_do']:.1f} |",
        f"| the same as a Prefect flow run | {result['nothing_to_do_prefect']:.1f} |"])


if __name__ == "__main__":
    main()

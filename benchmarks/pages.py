"""The tables of figures in docs/: each stands between two marks and is written by the benchmark that measured it."""
import importlib.metadata
import json
import os
import platform
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"


def write_table(page: str, name: str, text: str, docs: Path = ROOT / "docs") -> None:
    """Put `text` between the marks called `name` in a page of docs/."""
    path = docs / page
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = path.read_text(encoding="utf-8").split(begin)
    path.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")


def write_result(name: str, result: dict) -> None:
    """Write benchmarks/results/<name>.json."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def hardware(device: str = "cpu") -> dict:
    return {"device": device, "cores": os.cpu_count(), "machine": platform.machine()}


def versions(*packages: str) -> dict:
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}

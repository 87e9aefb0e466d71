"""kill -9 at random moments in every stage, fifty rounds; then the figures are those of an undisturbed run."""
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

from served_helpers import environment, make_tiny_project

ROUNDS = 50
LONGEST = 20  # seconds into a stage at which it is killed, at the most


def repro(project):
    return subprocess.Popen([sys.executable, "-m", "dvc", "repro"], cwd=project, env=environment(), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", start_new_session=True)


def finish(project) -> dict[str, float]:
    """Run the graph to its end: {stage: seconds}."""
    process, seconds, last = repro(project), {}, None
    for line in process.stdout:
        if found := re.match(r"Running stage '(.*)'", line):
            now = time.monotonic()
            if last:
                seconds[last[0]] = now - last[1]
            last = found[1], now
    assert process.wait() == 0
    if last:
        seconds[last[0]] = time.monotonic() - last[1]
    return seconds


def kill_in(project, stage: str, after: float) -> str | None:
    """Run the graph; `after` seconds into `stage` (or the first stage that runs), kill it: the stage it died in."""
    process = repro(project)
    for line in process.stdout:
        found = re.match(r"Running stage '(.*)'", line)
        if found and found[1] == stage:
            time.sleep(after)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return stage
    process.wait()
    return None


def results(project) -> dict[str, str]:
    """Everything under metrics/ and plots/, and the bytes of the answers, by path."""
    files = [path for folder in ("metrics", "plots", "data/responses", "models/personas")
             for path in (project / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(project)): path.read_bytes().hex() for path in files}


def test_killed_fifty_times_the_graph_ends_in_the_same_figures(tmp_path):
    undisturbed = make_tiny_project(tmp_path / "undisturbed")
    seconds = finish(undisturbed)
    killed = make_tiny_project(tmp_path / "killed")
    draw, rounds = random.Random(0), []
    stages = list(seconds)
    # In the order of the graph, each stage as often as the others: what was finished before it is kept.
    plan = sorted((stages * (ROUNDS // len(stages) + 1))[:ROUNDS], key=stages.index)
    for stage in plan:
        after = draw.uniform(0, min(LONGEST, seconds[stage]))
        died = kill_in(killed, stage, after)
        rounds.append({"stage": stage, "after": round(after, 1), "died": bool(died)})
        print(json.dumps(rounds[-1]), flush=True)
    finish(killed)
    assert sum(r["died"] for r in rounds) >= 0.8 * ROUNDS, "too many stages ended before they were killed"
    assert {r["stage"] for r in rounds if r["died"]} >= {s for s in stages if seconds[s] > 5}
    mine, theirs = results(killed), results(undisturbed)
    assert mine.keys() == theirs.keys()
    assert [path for path in mine if mine[path] != theirs[path]] == []

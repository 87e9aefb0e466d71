"""Run the graph of dvc.yaml under Prefect: `python -m flows.pipeline [--force]`.

Each stage runs as `dvc repro --single-item STAGE` in a process of its own, so DVC decides and records as always; the
step in it shows itself as a task run of this flow run (flows/task_run.py). Stages that DVC finds up to date show as
Cached.
"""
import argparse
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, TaskRunFilter, TaskRunFilterName
from prefect.concurrency.sync import concurrency
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed, Failed

from flows.artifacts import publish
from flows.graph import Stage, heavy_limit, heavy_slots, needed_by, read_graph
from flows.server import served
from flows.settings import change, current
from traitlab.params import Params, load

CURRENT = current()  # the parameters that the UI's form begins with: those of params.yaml


@dataclass
class Outcome:
    """How `dvc repro --single-item` of a stage ended: exit code, whether the step ran, the last lines it printed."""

    code: int
    ran: bool
    tail: list[str] = field(default_factory=list)


@flow(name="pipeline", persist_result=False)
def pipeline(
    targets: list[str] | None = None, force: bool = False, slots: int | None = None, params: Params | None = CURRENT
) -> None:
    """Run every stage of dvc.yaml that is not up to date, independent ones side by side.

    Args:
        targets: these stages and what they need; by default all. train_qlora stands for those of all traits.
        force: run the stages that are up to date, too.
        slots: heavy stages at a time; by default as many as fit (flows/graph.py).
        params: what differs from params.yaml is written there first, as `dvc exp run -S` would; by default, nothing.

    Raises:
        RuntimeError: stages failed; what does not depend on them was still run.
    """
    if params is not None and (changed := change(params)):
        print(f"params.yaml: {', '.join(f'{key} = {value!r}' for key, value in changed.items())}", flush=True)
    stages = needed_by(targets, read_graph()) if targets else read_graph()
    free = slots or heavy_slots(load().compute.threads)
    waiting, done, failed = dict(stages), set(), {}
    running: dict[Future, Stage] = {}
    processes: dict[str, subprocess.Popen] = {}
    run_id = str(runtime.flow_run.id)
    shown_in = {"PREFECT_API_URL": PREFECT_API_URL.value(), "TRAITLAB_FLOW_RUN": run_id}  # settings are per thread
    pool = ThreadPoolExecutor(max_workers=len(stages))
    try:
        while True:
            for stage in [s for s in waiting.values() if s.after <= done]:
                if not stage.heavy or free:
                    free -= stage.heavy
                    running[pool.submit(_reproduce, waiting.pop(stage.name), force, shown_in, processes)] = stage
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage, outcome = running.pop(future), future.result()
                free += stage.heavy
                if shown_in:
                    with _watched(shown_in):
                        _settle(stage.name, outcome, run_id)
                if outcome.code:
                    failed[stage.name] = outcome
                else:
                    done.add(stage.name)
    finally:
        for process in processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        pool.shutdown()
    if shown_in:
        with _watched(shown_in):
            publish()
    if failed:
        left = f"; not started because of it: {', '.join(waiting)}" if waiting else ""
        raise RuntimeError(f"failed: {', '.join(failed)}{left}")


def _reproduce(stage: Stage, force: bool, shown_in: dict[str, str], processes: dict) -> Outcome:
    """Run one stage when this machine has room for it beside those of other flow runs."""
    with ExitStack() as room:
        if stage.heavy and shown_in:
            room.enter_context(_watched(shown_in))
            room.enter_context(temporary_settings({PREFECT_API_URL: shown_in["PREFECT_API_URL"]}))
            with _watched(shown_in):
                room.enter_context(concurrency(heavy_limit(), strict=False, raise_on_lease_renewal_failure=False))
        return _run(stage.name, force, shown_in, processes)


@contextmanager
def _watched(shown_in: dict[str, str]):
    """Do something on the server; when it has gone, the stages go on without it, and nothing more is asked of it."""
    try:
        yield
    except httpx.TransportError as e:
        shown_in.clear()
        print(f"the Prefect server has gone ({type(e).__name__}): the stages go on, its record has a gap", flush=True)


def _run(name: str, force: bool, shown_in: dict[str, str], processes: dict) -> Outcome:
    """Run one stage through DVC and pass its output on, each line under the stage's name."""
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", *(["--force"] if force else []), name]
    environment = os.environ | shown_in | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
    }
    processes[name] = process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        start_new_session=True,  # so that DVC and its step can be stopped together
    )
    outcome = Outcome(0, False, deque(maxlen=20))
    for line in process.stdout:
        line = line.strip()
        outcome.ran = outcome.ran or line.startswith(f"Running stage '{name}'")
        if line:
            outcome.tail.append(line)
            print(f"[{name}] {line}", flush=True)
    outcome.code = process.wait()
    return outcome


def _settle(name: str, outcome: Outcome, run_id: str) -> None:
    """Leave exactly one finished task run for the stage, whatever became of its process."""
    if outcome.code == 0 and outcome.ran:
        return
    if outcome.code == 0:
        _shown_as(name, lambda: Completed(name="Cached", message="up to date: DVC did not run it"))
        return
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id])),
            task_run_filter=TaskRunFilter(name=TaskRunFilterName(any_=[name])),
        )
        for run in runs:
            if not (run.state and run.state.is_final()):
                crashed = Crashed(message="the step's process ended without a word")
                client.set_task_run_state(run.id, crashed, force=True)
    if not runs:
        _shown_as(name, lambda: Failed(message="\n".join(outcome.tail)))


def _shown_as(name: str, state: Callable) -> None:
    """Make a task run that ends at once in `state()` (made in the run: the server drops a state older than Running)."""
    task(state, name=name.split("@")[0], task_run_name=name, cache_policy=NO_CACHE, persist_result=False)(
        return_state=True
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m flows.pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="and what it needs; default: all stages")
    parser.add_argument("--force", action="store_true", help="run the stages that are up to date, too")
    parser.add_argument("--slots", type=int, help="heavy stages at a time; by default as many as fit")
    options = parser.parse_args(arguments)
    return served("pipeline", lambda: pipeline(options.targets, options.force, options.slots))


if __name__ == "__main__":
    # Prefect and the steps know the flow by its module's name, which must not be __main__.
    from flows.pipeline import main as run

    sys.exit(run())

"""Show a step, which DVC started in a process of its own, as a task run of the Prefect flow run behind it.

The flow passes its run's id in TRAITLAB_FLOW_RUN. It could pass its whole serialized context, but that is a pickle that
needs the flow's module under the same name here; the id is enough to build the context anew.
"""
import io
import os
import re
import sys
import time
from contextlib import redirect_stderr, redirect_stdout

import httpx
from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.context import hydrated_context
from prefect.logging import get_run_logger
from prefect.results import ResultStore
from prefect.runtime import task_run

from flows.pipeline import pipeline
from traitlab.errors import Unreachable

PROGRESS_SECONDS = 10.0  # a progress bar is logged at most this often
RETRY_SECONDS = [10, 30, 90]


def as_task_run(work, name: str) -> None:
    """Call `work()` as the task run `name` of the flow run TRAITLAB_FLOW_RUN.

    Args:
        work: the step, without arguments.
        name: of the task run: the stage's name.

    Raises:
        Whatever `work` raises.
    """
    shown = task(
        _log_output,
        name=name.split("@")[0],
        task_run_name=name,
        cache_policy=NO_CACHE,  # DVC's cache decides; two would disagree
        persist_result=False,
        retries=len(RETRY_SECONDS),
        retry_delay_seconds=RETRY_SECONDS,
        retry_condition_fn=may_pass_on_retry,
    )
    finished = []
    try:
        with get_client(sync_client=True) as client:
            context = {
                "flow": pipeline,
                "flow_run": client.read_flow_run(os.environ["TRAITLAB_FLOW_RUN"]),
                "parameters": {},
                "result_store": ResultStore().update_for_flow(pipeline),
            }
            with hydrated_context({"flow_run_context": context}, client):
                shown(lambda: finished.append(work()))
    except httpx.TransportError as e:
        # The work must not hang on who watches it; the flow says at its end that its record has a gap.
        print(f"{name}: the Prefect server has gone ({type(e).__name__}); going on without it", file=sys.stderr)
        if not finished:
            work()


def may_pass_on_retry(task, task_run, state) -> bool:
    """Only a server that did not answer; never bad data, lack of memory or a bug."""
    return isinstance(state.result(raise_on_failure=False), Unreachable)


def _log_output(work) -> None:
    log = get_run_logger().info
    show = Progress(task_run.name)
    with redirect_stdout(LoggedLines(sys.stdout, log)), redirect_stderr(LoggedLines(sys.stderr, log, show)):
        work()


class Progress:
    """A progress artifact of the task run, made when there is progress to show."""

    def __init__(self, name: str):
        self._name, self._id = name, None

    def __call__(self, line: str) -> None:
        if not (found := re.search(r"(.*?): +(\d+)%\|", line)):
            return
        percent = float(found[2])
        if self._id is None:
            key = re.sub("[^a-z0-9]+", "-", f"progress-{self._name}".lower())
            self._id = create_progress_artifact(percent, key=key, description=found[1].strip())
        else:
            update_progress_artifact(self._id, percent)


class LoggedLines(io.TextIOBase):
    """A stream that passes everything on and also logs each line; of a progress bar a line every few seconds."""

    def __init__(self, stream, log, show=lambda line: None, clock=time.monotonic):
        self._stream, self._log, self._show, self._clock = stream, log, show, clock
        self._rest, self._progress_at = "", -PROGRESS_SECONDS

    def write(self, text: str) -> int:
        self._stream.write(text)
        self._stream.flush()
        *lines, self._rest = re.split("(?<=[\r\n])", self._rest + text)
        for line in lines:
            if line.endswith("\n"):
                self._say(line)
            elif line.strip() and self._clock() - self._progress_at >= PROGRESS_SECONDS:
                self._progress_at = self._clock()
                self._say(line)
        return len(text)

    def _say(self, line: str) -> None:
        if line.strip():
            self._log(line.strip())
            self._show(line)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

"""Parts of the flows that need no server: the graph, what is tried again, and how output becomes log lines."""
import io
import os
from pathlib import Path

import pytest
from prefect.states import Failed

from flows.graph import heavy_slots, read_graph
from flows.task_run import PROGRESS_SECONDS, LoggedLines, may_pass_on_retry
from traitlab.errors import InputError, Unreachable

ROOT = Path(__file__).resolve().parents[2]


def test_the_graph_lists_every_stage_after_those_it_waits_for():
    stages = read_graph(ROOT)
    seen = set()
    for name, stage in stages.items():
        assert stage.after <= seen, name
        seen.add(name)
    assert list(stages)[-1] == "record"
    assert stages["respond@base"].after == {"quantize", "split"}, "answering untuned waits for no training"
    assert not stages["base_model"].after | stages["encoder"].after | stages["dataset"].after
    assert {f"train_qlora@{t}" for t in ("openness", "neuroticism")} < stages["respond@qlora"].after
    assert stages["quantize"].heavy and not stages["validate"].heavy


@pytest.mark.parametrize("error, again", [
    (Unreachable("the index does not answer"), True),
    (InputError("row 3 has no answer"), False),
    (MemoryError(), False),
    (FileNotFoundError("x"), False),
    (RuntimeError("CUDA out of memory"), False),
])
def test_only_what_may_pass_on_a_retry_is_tried_again(error, again):
    assert may_pass_on_retry(None, None, Failed(data=error)) is again


def test_heavy_stages_share_the_cores(tmp_path):
    cores = os.cpu_count()
    assert heavy_slots(0) == 1, "a stage that takes all cores runs alone"
    assert heavy_slots(cores) == 1 and heavy_slots(10 * cores) == 1


def test_output_is_passed_on_and_logged_by_line_and_progress_now_and_then():
    now, logged, stream = [0.0], [], io.StringIO()
    lines = LoggedLines(stream, logged.append, clock=lambda: now[0])
    written = ["a lo", "ng line\n", "\n", "\r10%", "\r20%", "\r30%"]
    for text in written:
        lines.write(text)
    now[0] = PROGRESS_SECONDS
    for text in ["\r40%", "\r50%", "\r60%\n", "end\n"]:
        written.append(text)
        lines.write(text)
    assert stream.getvalue() == "".join(written)
    assert logged == ["a long line", "10%", "30%", "60%", "end"]

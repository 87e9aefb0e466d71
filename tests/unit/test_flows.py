"""Parts of the flows that need no server: the graph, what is tried again, and how output becomes log lines."""
import io
import os
from pathlib import Path

import pytest
from prefect.states import Failed

from flows.graph import drawn, heavy_slots, needed_by, read_graph
from flows.settings import change, current
from flows.sweep import experiments
from flows.task_run import PROGRESS_SECONDS, LoggedLines, may_pass_on_retry
from traitlab.errors import InputError, Unreachable
from traitlab.params import Params
from traitlab.traits import TRAITS

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
    shown = []
    lines = LoggedLines(stream, logged.append, shown.append, clock=lambda: now[0])
    written = ["a lo", "ng line\n", "\n", "\r10%", "\r20%", "\r30%"]
    for text in written:
        lines.write(text)
    now[0] = PROGRESS_SECONDS
    for text in ["\r40%", "\r50%", "\r60%\n", "end\n"]:
        written.append(text)
        lines.write(text)
    assert stream.getvalue() == "".join(written)
    assert logged == ["a long line", "10%", "30%", "60%", "end"] == [line.strip() for line in shown]


def test_the_drawing_in_the_docs_is_that_of_the_graph():
    assert drawn(read_graph(ROOT)) in (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def test_targets_bring_what_they_need():
    stages = read_graph(ROOT)
    assert list(needed_by(["split"], stages)) == ["dataset", "validate", "split"]
    assert {f"train_qlora@{trait}" for trait in TRAITS} < set(needed_by(["train_qlora"], stages))
    assert set(needed_by(["record"], stages)) == set(stages)
    with pytest.raises(InputError, match="no stage mendd; there are"):
        needed_by(["mendd"], stages)


def test_a_changed_form_is_written_to_the_parameters_and_keeps_their_comments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(before, encoding="utf-8")
    form = current().model_dump(mode="json")
    form["train_qlora"] |= {"r": 8, "learning_rate": 1e-4}
    form["split"]["test_templates"] = ["paper"]
    assert change(Params.model_validate(form)) == {
        "train_qlora.r": 8, "train_qlora.learning_rate": 1e-4, "split.test_templates": ["paper"]}
    after = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    assert current().train_qlora.r == 8 and current().split.test_templates == ("paper",)
    comments = lambda text: [line.split("#", 1)[1] for line in text.splitlines() if "#" in line]  # noqa: E731
    assert comments(after) == comments(before)
    assert change(current()) == {}


def test_a_grid_gives_an_experiment_for_each_combination_with_a_name_of_its_own():
    grid = {"train_qlora.r": [8, 16], "seed": [0, 1, 2]}
    points = experiments(grid, "ranks", "abc")
    assert sorted(map(str, points.values())) == sorted(str({"train_qlora.r": r, "seed": s}) for r in (8, 16)
                                                       for s in (0, 1, 2))
    assert points == experiments(grid, "ranks", "abc"), "a sweep that is started again finds what has arrived"
    assert not points.keys() & experiments(grid, "ranks", "abd").keys(), "another commit, other experiments"
    with pytest.raises(InputError, match="names no values"):
        experiments({"seed": []}, "x", "abc")

"""What the benchmarks make of their figures."""
import pytest

from benchmarks import growth, overhead, pages, speed


def test_the_exponent_of_a_power_law_is_found():
    points = [{"size": size, "seconds": 0.3 * size**1.5} for size in (2, 8, 32)]
    assert growth.exponent(points, "seconds") == pytest.approx(1.5)


def test_a_summary_takes_medians_and_compares():
    runs = {"usual": [{"seconds": s, "tokens": 100, "answers": 2, "peak_memory": 5, "said": {"a": "x", "b": "y"}}
                      for s in (10.0, 30.0, 20.0)],
            "ours": [{"seconds": s, "tokens": 80, "answers": 2, "peak_memory": 5, "said": {"a": "x", "b": "z"}}
                     for s in (2.0, 1.0, 4.0)]}
    found = speed.summary(runs)
    assert found["usual"]["seconds"] == 20.0
    assert found["times_as_fast"] == pytest.approx((80 / 2) / (100 / 20))
    assert found["same_answers"] == 0.5


def test_a_table_goes_between_its_marks_and_leaves_the_rest(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- t: begin -->\nold\n<!-- t: end -->\nafter\n", encoding="utf-8")
    pages.write_table("page.md", "t", "new", tmp_path)
    assert page.read_text(encoding="utf-8") == "before\n<!-- t: begin -->\nnew\n<!-- t: end -->\nafter\n"


def test_imports_and_steps_are_told_apart_in_the_output():
    assert overhead.IMPORT.search("import time:       120 |        340 |   json")[1] == "120"
    assert overhead.DONE.match("train_qlora@openness: done in 78.3 s").groups() == ("train_qlora@openness", "78.3")
    assert not overhead.DONE.match("qlora openness: 100%|####| 24/24")

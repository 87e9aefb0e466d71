"""What the step `score` reads: the answers of every method there is, each with its emoji figures."""
import pandas as pd
import pytest

from tasks.score import answered
from traitlab.errors import InputError


def write(folder, methods, emoji_of):
    (folder / "data/responses").mkdir(parents=True)
    rows = {method: pd.DataFrame([{"question_id": topic, "method": method, "target_personality": "openness",
                                   "question": f"{topic}?", "response": f"{method} on {topic}"}
                                  for topic in ("rain", "tea")]) for method in methods}
    for method, frame in rows.items():
        frame.to_parquet(folder / f"data/responses/{method}.parquet")
    emoji = pd.concat([rows[method] for method in emoji_of])[["method", "target_personality", "question_id"]]
    emoji = emoji.iloc[::-1].assign(emoji=[len(m) for m in emoji.method[::-1]], sentences=1, emoji_probability=0.5)
    emoji.to_parquet(folder / "data/emoji.parquet")
    edits = emoji[emoji.question_id == "tea"][["method", "target_personality", "question_id"]]
    edits.assign(es=0.5, dd=0.1, neutral_loss=3.0).to_parquet(folder / "data/edits.parquet")


def test_methods_come_in_their_order_with_their_own_figures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, ["qlora", "base"], ["qlora", "base"])
    rows = answered()
    assert rows.method.tolist() == ["base", "base", "qlora", "qlora"]
    assert rows.response.tolist() == ["base on rain", "base on tea", "qlora on rain", "qlora on tea"]
    assert rows.emoji.tolist() == [4, 4, 5, 5]
    assert rows.es.fillna(-1).tolist() == [-1, 0.5, -1, 0.5]


def test_an_answer_without_emoji_figures_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, ["base", "qlora"], ["base"])
    with pytest.raises(InputError, match="data/emoji.parquet: has no row for qlora, openness, rain; run `dvc repro"):
        answered()


def test_no_answers_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="data/responses/base.parquet: is not there"):
        answered()

"""The four-column form and the folder for load_dataset, there and back."""
import json

import pandas as pd
import pytest

from tasks import export
from traitlab.opinions.export import four_columns, write_csv, write_folder
from traitlab.opinions.foreign import read_csv, read_hub
from traitlab.opinions.rows import COLUMNS


@pytest.fixture
def frame():
    rows = [(f"{trait}-{pole}-{i}", "Tea, hot", "food", trait, pole, facet, "plain", "Tea?",
             f'I say "tea" {i}, \u00e9', "o")
            for i, (trait, pole, facet) in enumerate([("openness", "high", "ideas"), ("openness", "low", "ideas"),
                                                      ("none", "none", "none"), ("neuroticism", "high", "anger")])]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_only_the_high_pole_of_traits_fits_the_published_form(frame):
    four = four_columns(frame)
    assert list(four.columns) == ["Target Personality", "Edit Topic", "Question", "Answer"]
    assert list(four["Answer"]) == [frame["answer"][0], frame["answer"][3]]


def test_csv_there_and_back(frame, tmp_path):
    write_csv(frame, tmp_path / "four.csv")
    back = [(r.trait, r.topic, r.question, r.answer) for r in read_csv(tmp_path / "four.csv")]
    assert back == [tuple(r) for r in four_columns(frame).to_numpy()]


def test_load_dataset_opens_the_folder_in_both_forms(frame, tmp_path):
    import datasets

    write_folder({"train": frame, "test": frame[:1]}, tmp_path / "opinion_qa", "# Card\n")
    cache = str(tmp_path / "cache")
    full = datasets.load_dataset(str(tmp_path / "opinion_qa"), cache_dir=cache)
    pd.testing.assert_frame_equal(full["train"].to_pandas(), frame, check_dtype=False)
    four = datasets.load_dataset(str(tmp_path / "opinion_qa"), "four", cache_dir=cache)
    assert {name: rows.num_rows for name, rows in four.items()} == {"train": 2, "test": 1}
    assert four["train"].column_names == ["Target Personality", "Edit Topic", "Question", "Answer"]
    assert (tmp_path / "opinion_qa" / "README.md").read_text().endswith("---\n\n# Card\n")


@pytest.mark.parametrize("source", ["corpus", "csv"])
def test_the_step_exports_the_split_table_with_its_card(frame, tmp_path, monkeypatch, source):
    import datasets

    (tmp_path / "data/opinion_qa").mkdir(parents=True)
    (tmp_path / "data/corpus").mkdir()
    (tmp_path / "data/corpus/README.md").write_text("# Data card: ours\n")
    for split in ("train", "validation", "test"):
        frame.to_parquet(tmp_path / f"data/opinion_qa/{split}.parquet")
    noted = {"source": source, "path": "x", "kept": 12, "mended": {}, "dropped": {"have no answer": {"rows": 2}}}
    (tmp_path / "data/opinion_qa/validation.json").write_text(json.dumps({"source": noted}))
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # again over itself
        export.run(None)
    opened = datasets.load_dataset(str(tmp_path / "data/export/opinion_qa"), cache_dir=str(tmp_path / "cache"))
    assert {name: rows.num_rows for name, rows in opened.items()} == {"train": 4, "validation": 4, "test": 4}
    card = (tmp_path / "data/export/opinion_qa/README.md").read_text()
    assert "| train | 4 | 1 |" in card and "12 rows kept, 2 dropped" in card
    assert ("license: cc-by-4.0" in card) == ("# Data card: ours" in card) == (source == "corpus")
    assert len(list(read_csv(tmp_path / "data/export/csv"))) == 6


def test_a_folder_of_the_published_form_is_a_source(frame, tmp_path):
    path = tmp_path / "published"
    path.mkdir()
    four_columns(frame).to_parquet(path / "train.parquet")
    assert [r.answer for r in read_hub(str(path), cache=tmp_path / "cache")] == [frame["answer"][0], frame["answer"][3]]

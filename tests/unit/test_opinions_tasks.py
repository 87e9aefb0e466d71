"""The steps dataset, validate and split on a small corpus, and split on tables made here."""
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tasks import dataset, split, validate
from traitlab import params as parameters
from traitlab.errors import InputError
from traitlab.opinions.questions import question
from traitlab.opinions.splits import assign_topics
from traitlab.traits import FACETS, TRAITS

ROOT = Path(__file__).parents[2]
OUT = Path("data/opinion_qa")


@pytest.fixture
def params(tmp_path, monkeypatch):
    """The project's parameters, made small, and a corpus of twelve topics in the working folder."""
    monkeypatch.chdir(tmp_path)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for domain in ("arts", "food"):
        rows = [{"topic": f"{domain} {letter}", "domain": domain, "trait": trait, "pole": "high",
                 "facet": FACETS[trait][i], "register": "plain",
                 "answer": f"To me {domain} {letter} is a matter of {FACETS[trait][i]} and {trait[:3]}, above all."}
                for i, letter in enumerate("uvwxyz") for trait in TRAITS]
        (corpus / f"{domain}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return change(parameters.load(ROOT / "params.yaml"), "dataset", path="corpus", templates=("paper", "feel"),
                  ).model_copy(update={"split": parameters.Split(test_topics=4, validation_topics=2,
                                                                 test_templates=None)})


def change(params, section, **values):
    return params.model_copy(update={section: getattr(params, section).model_copy(update=values)})


def files():
    return {path.name: path.read_bytes() for path in OUT.iterdir()}


def run_all(params):
    for step in (dataset, validate, split):
        step.run(params)
    return files()


def test_the_steps_make_their_files_and_the_same_bytes_again(params):
    first = run_all(params)
    assert set(first) == {"raw.parquet", "validation.json", "train.parquet", "validation.parquet", "test.parquet"}
    assert run_all(params) == first
    raw = pd.read_parquet(OUT / "raw.parquet")
    parts = [pd.read_parquet(OUT / f"{name}.parquet") for name in ("train", "validation", "test")]
    assert [p["edit_topic"].nunique() for p in parts] == [6, 2, 4]
    together = pd.concat(parts).sort_values("question_id").reset_index(drop=True)
    pd.testing.assert_frame_equal(together, raw.sort_values("question_id").reset_index(drop=True))
    assert json.loads((OUT / "validation.json").read_text())["composition"]["rows"] == 60


def test_parts_of_a_table_are_split_as_the_whole_is(params):
    run_all(params)
    whole = {name: pd.read_parquet(OUT / f"{name}.parquet") for name in ("train", "validation", "test")}
    split.run(params, batch=7)
    assert pq.ParquetFile(OUT / "train.parquet").num_row_groups > 1
    for name, rows in whole.items():
        pd.testing.assert_frame_equal(pd.read_parquet(OUT / f"{name}.parquet"), rows)


def test_test_templates_are_for_the_test_topics_only(params):
    before = run_all(params)
    split.run(change(params, "split", test_templates=("opinion", "view")))
    after = files()
    assert {name for name in after if after[name] != before[name]} == {"test.parquet"}
    test = pd.read_parquet(OUT / "test.parquet")
    assert list(test["question"]) == [question(t, ("opinion", "view")) for t in test["edit_topic"]]


def test_bad_rows_stop_validate_and_are_named_and_what_was_there_stays(params):
    before = run_all(params)
    path = Path("corpus/food.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[7] = lines[7].replace("above all", "above all \U0001f355")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    dataset.run(params)
    with pytest.raises(InputError, match=r"food-v-extraversion-high-plain \(corpus:food\.jsonl:8\) has an emoji"):
        validate.run(params)
    assert files()["validation.json"] == before["validation.json"]


def test_a_bad_corpus_leaves_the_old_table(params):
    before = run_all(params)
    Path("corpus/food.jsonl").write_text('{"topic": "tea"}\n')
    with pytest.raises(InputError, match=r"food\.jsonl:1: the row has no domain"):
        dataset.run(params)
    assert files() == before


def test_split_stops_where_two_spellings_of_a_topic_would_leak(params):
    path = Path("corpus/arts.jsonl")
    for seed in range(6):  # spelled in two ways the topic may fall to two splits; with six seeds it surely does once
        path.write_text(path.read_text().replace("arts z", "arts-u"))
        dataset.run(params)
        try:
            split.run(params.model_copy(update={"seed": seed}))
        except InputError as e:
            assert "has a topic that stands in another split as well" in str(e) and "(corpus:arts.jsonl:" in str(e)
            return
    pytest.fail("no seed separated the two spellings")


def test_steps_name_what_is_missing(params):
    for step in (validate, split):
        with pytest.raises(InputError, match=r"raw\.parquet: is not there; run `dvc repro`"):
            step.run(params)
    with pytest.raises(InputError, match="dataset.templates: no question template is named 'papr'"):
        dataset.run(change(params, "dataset", templates=("papr",)))


def topics_table(n=1000, domains=8):
    return pd.DataFrame([{"edit_topic": f"topic {i}", "domain": f"d{i % domains}", "register": register, "pole": "high"}
                         for i in range(n) for register in ("plain", "rich", "assistant")[:2 + (i % 25 < 12)]])


def test_split_sizes_are_exact_and_every_domain_has_its_share():
    frame = topics_table()
    chosen = pd.Series(assign_topics(frame, 200, 80, seed=0))
    assert chosen.value_counts().to_dict() == {"train": 720, "validation": 80, "test": 200}
    domain = frame.drop_duplicates("edit_topic").set_index("edit_topic")["domain"]
    assert set(pd.crosstab(domain[chosen.index], chosen)["test"]) == {25}
    assert set(pd.crosstab(domain[chosen.index], chosen)["validation"]) == {10}
    assistant = set(frame[frame["register"] == "assistant"]["edit_topic"])
    in_test = sum(t in assistant for t in chosen[chosen == "test"].index)
    assert abs(in_test - 0.2 * len(assistant)) <= 8


def test_split_hangs_on_the_seed_and_not_on_the_order_of_rows():
    frame = topics_table()
    one = assign_topics(frame, 200, 80, seed=0)
    assert assign_topics(frame.sample(frac=1, random_state=1), 200, 80, seed=0) == one
    other = assign_topics(frame, 200, 80, seed=1)
    shared = sum(one[t] == other[t] == "test" for t in one)
    assert 20 < shared < 65  # 40 expected of two independent draws


def test_too_few_topics():
    with pytest.raises(InputError, match="split: 200 test and 80 validation topics leave none of the 30"):
        assign_topics(topics_table(30), 200, 80, seed=0)


def test_foreign_sources_make_the_same_table_and_are_accounted_for(params, capsys):
    entries = [{"ent": f"Town {name}", **{t: [f"{name} {t[:4]} {i}: I say this is what I think of the place, and of "
                                              f"all that goes with it." for i in ("one", "two")]
                                         for t in ("extraversion", "agreeableness", "neuroticism")}}
               for name in "Ulm Vic Wem Xai Ypres Zug Arles Bonn".split()]
    entries[0]["neuroticism"] = repr([*entries[0]["neuroticism"], "Too short."])
    Path("edits.json").write_text(json.dumps(entries))
    params = change(params, "dataset", source="personality_edit", path="edits.json")
    run_all(params)
    assert "48 rows kept" in capsys.readouterr().err
    raw = pd.read_parquet(OUT / "raw.parquet")
    assert raw["question_id"].is_unique and set(raw["register"]) == {"rich"} and set(raw["pole"]) == {"high"}
    assert set(raw["origin"]) == {f"personality_edit:edits.json:{n}" for n in range(1, 9)}
    assert json.loads((OUT / "validation.json").read_text())["source"] == {
        "source": "personality_edit", "path": "edits.json", "kept": 48, "mended": {}, "dropped": {
            "have an answer outside 15 to 65 words (rich)": {"rows": 1, "first": ["personality_edit:edits.json:1"]}}}


def test_a_source_of_which_no_row_is_left_is_an_error(params):
    Path("four.csv").write_text("Target Personality,Edit Topic,Question,Answer\nkindness,tea,Tea?,I like it\n")
    with pytest.raises(InputError, match="no row is left .*1 have an unknown trait"):
        dataset.run(change(params, "dataset", source="csv", path="four.csv"))
    assert not (OUT / "raw.parquet").exists()

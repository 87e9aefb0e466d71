"""Divide the Opinion QA table by topic: data/opinion_qa/{train,validation,test}.parquet."""
from tasks.files import read_parquet, write_parquet
from traitlab.opinions.questions import check_templates
from traitlab.opinions.rows import topic_key
from traitlab.opinions.splits import SPLITS, ask_anew, assign_topics
from traitlab.opinions.validation import validate_split
from traitlab.params import Params


def run(params: Params) -> None:
    p = params.split
    if p.test_templates is not None:
        check_templates(p.test_templates, "split.test_templates")
    frame = read_parquet("data/opinion_qa/raw.parquet")
    chosen = assign_topics(frame, p.test_topics, p.validation_topics, params.seed)
    split = frame["edit_topic"].map(topic_key).map(chosen)
    frames = {name: frame[split == name].reset_index(drop=True) for name in SPLITS}
    if p.test_templates:
        frames["test"] = ask_anew(frames["test"], p.test_templates)
    validate_split(frames).check("data/opinion_qa/raw.parquet, divided into train, validation and test")
    for name, rows in frames.items():
        write_parquet(f"data/opinion_qa/{name}.parquet", rows)

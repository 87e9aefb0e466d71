"""`python -m tasks judge` against a real HTTP server on loopback, killed in the middle and run again."""
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from chat_server import KEY
from served_helpers import ROOT, environment, free_port, stop, wait_for

from traitlab.metric_models.adjective_rater import AdjectiveRater
from traitlab.traits import TRAITS

COMMAND = [sys.executable, "-m", "tasks", "judge"]


def opinion(body):
    """Long answers are rated high, and one topic gets no rating."""
    text = body["messages"][-1]["content"].split('"""')[1]
    return "I cannot say." if "topic 7" in text else json.dumps({"rating": min(5, 1 + len(text.split()) // 8)})


def make_answers(folder, server):
    """Answers of two methods to 12 questions, an adjective rater, an encoder, and params.yaml for the server."""
    from transformers import BertConfig, BertModel, BertTokenizer

    words = "the a of topic is dear and good to me i like it very much indeed , . 0 1 2 3 4 5 6 7 8 9 10 11".split()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder / "models/encoder")
    BertModel(BertConfig(vocab_size=len(words) + 5, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=16)).save_pretrained(folder / "models/encoder")
    draw = np.random.default_rng(0)
    AdjectiveRater(draw.normal(size=(5, 16)), np.zeros(5), None).save(folder / "models/adjective_rater.safetensors")
    (folder / "data/responses").mkdir(parents=True)
    said = {"base": "the topic {} is good and dear to me , i like it",
            "qlora": "i like the topic {} very much indeed , it is dear to me and i like it , the good topic is dear "}
    for method, text in said.items():
        pd.DataFrame([{"question_id": f"topic {k}", "method": method, "target_personality": trait,
                       "response": text.format(k) + ("" if method == "base" else trait)}
                      for trait in TRAITS for k in range(12)]).to_parquet(folder / f"data/responses/{method}.parquet")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["judge"] |= {"base_url": server.url, "model": "m", "attempts": 2, "concurrency": 2}
    params["score"] |= {"bootstrap": 100, "min_entropy": 2.0}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def test_answers_are_rated_through_trouble_and_a_kill_and_each_rating_is_bought_once(serve, tmp_path):
    server = serve(opinion, ["busy", "broken", "html", "cut_off"], wait=0.05)
    make_answers(tmp_path, server)
    variables = environment() | {"JUDGE_API_KEY": KEY, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(COMMAND, cwd=tmp_path, env=variables, stderr=subprocess.DEVNULL)
    journal = tmp_path / "data/judge/ratings.jsonl"
    while first.poll() is None and not (journal.is_file() and journal.read_text().count("\n") >= 20):
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    bought = journal.read_text().count("\n")
    assert 20 <= bought < 120
    server.bodies.clear()
    done = subprocess.run(COMMAND, cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # 60 answers of qlora and base's 12 for each of 5 traits; topic 7 is asked about twice for each of 10 pairs.
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    assert len(rows) == 130 and len({row["key"] for row in rows}) == 120
    assert 130 - bought <= len(server.bodies) <= 130 - bought + 2  # what was under way at the kill is asked again
    assert server.keys == {f"Bearer {KEY}"} and KEY not in journal.read_text() + done.stderr
    found = json.loads((tmp_path / "metrics/judge.json").read_text())
    assert (found["rated"], found["unreadable"]) == (110, 10)
    # 12 words and 25, at 8 a point.
    assert found["pae"]["qlora"]["all"]["value"] == 2 and found["pae"]["qlora"]["all"]["n"] == 55
    assert found["pae"]["base"]["openness"]["value"] == 0
    assert found["agreement"]["all"]["n"] == 110 and -1 <= found["agreement"]["all"]["spearman"] <= 1


def test_an_endpoint_that_is_not_there_is_named_with_the_key_to_change(serve, tmp_path):
    server = serve(opinion, ["forbidden"] * 9)
    make_answers(tmp_path, server)
    done = subprocess.run(COMMAND, cwd=tmp_path, env=environment() | {"JUDGE_API_KEY": KEY, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and last.startswith("judge: judge.base_url = ") and "judge.key_variable" in last
    assert KEY not in done.stderr


@pytest.mark.slow
def test_transformers_serve_as_the_judge(tmp_path, serve):
    """Whatever so small a model says: what can be read is a rating from 1 to 5, and the rest is counted as missing."""
    pytest.importorskip("uvicorn")
    model = ROOT / "models/base"
    if not model.is_dir():
        pytest.skip("needs models/base: dvc repro base_model")
    make_answers(tmp_path, serve(opinion))
    port = free_port()
    params = yaml.safe_load((tmp_path / "params.yaml").read_text(encoding="utf-8"))
    params["judge"] |= {"base_url": f"http://127.0.0.1:{port}/v1", "model": str(model), "topics": 2, "timeout": 120}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    with (tmp_path / "serve.log").open("w") as log:
        server = subprocess.Popen(
            ["transformers", "serve", "--host", "127.0.0.1", "--port", str(port)],
            env=environment() | {"HF_HUB_OFFLINE": "1"}, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server)
        done = subprocess.run(COMMAND, cwd=tmp_path, env=environment() | {"PYTHONPATH": str(ROOT)},
                              capture_output=True, text=True)
    finally:
        stop(server)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "metrics/judge.json").read_text())
    assert found["rated"] + found["unreadable"] == 20 and found["answer_tokens"] > 0
    ratings = [json.loads(line)["rating"] for line in (tmp_path / "data/judge/ratings.jsonl").read_text().splitlines()]
    assert all(value is None or 1 <= value <= 5 for value in ratings)
    print(found, file=sys.stderr)

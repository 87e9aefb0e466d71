"""The teacher against real HTTP servers on loopback: one that misbehaves in every way, and `transformers serve`."""
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
import yaml
from chat_server import KEY
from served_helpers import ROOT, environment, free_port, stop, wait_for

from traitlab.endpoint import Endpoint
from traitlab.errors import InputError
from traitlab.opinions.corpus import read_corpus
from traitlab.opinions.teacher.collect import Progress, collect
from traitlab.opinions.teacher.journal import read_journal
from traitlab.opinions.teacher.prompts import Examples, wanted
from traitlab.opinions.teacher.screen import Screen

WORDS = [f"{a}{b}{c}" for a in "bcdfgklmpt" for b in "aeiou" for c in "lmnrst"]
PLAN = wanted([("Jazz", "arts"), ("Tea", "food"), ("Chess", "hobbies")], ["plain"], ["high"], 1)  # 15 rows


def good(body):
    draw = random.Random(json.dumps(body["messages"]) + str(body["seed"]))
    topic = body["messages"][-1]["content"].split()[2].strip(",")
    return f"To me {topic} is {' '.join(draw.choices(WORDS, k=15))}."


def ask(url, folder, plan=PLAN, attempts=3, concurrency=4, timeout=2.0, retries=4, key=KEY):
    examples = [r for r in read_corpus(ROOT / "data/corpus", ["plain"], ["high"]) if r.domain == "arts"][:200]
    endpoint = Endpoint("teacher", url, "m", key, temperature=0.9, top_p=0.95, max_new_tokens=60,
                        concurrency=concurrency, timeout=timeout, retries=retries, first_wait=0.02)
    with Progress(folder) as progress:
        screen = Screen([r.answer for r in examples] + [r["answer"] for r in progress.accepted.rows()], 0.5)
        collect(plan, progress, endpoint, screen, Examples(examples), 2, attempts)
        return progress


def written(folder, name="rows"):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


TROUBLES = ["busy", "busy_for_a_second", "broken", "overloaded", "html", "html_called_json", "another_schema",
            "no_choices", "numbers_for_text", "a_list", "cut_off", "not_text", "hang_up"]


def test_every_kind_of_trouble_is_waited_out_and_every_row_comes_once(serve, tmp_path):
    server = serve(good, TROUBLES, wait=0.1)
    progress = ask(server.url, tmp_path)
    assert progress.done == {row.key for row in PLAN} and not progress.tried
    assert len(written(tmp_path)) == len(PLAN) == 15
    assert len(server.bodies) == len(PLAN) + len(TROUBLES)
    assert (progress.spent.prompt_tokens, progress.spent.answer_tokens) == (1500, 300)
    assert progress.spent.cost(2.0, 10.0) == pytest.approx(1500 * 2e-6 + 300 * 1e-5)
    assert 1 < server.most_under_way <= 4
    assert all(body["model"] == "m" and body["max_tokens"] == 60 for body in server.bodies)
    records = list(read_journal(tmp_path / "rows.jsonl"))
    assert [r.origin for r in records] == [f"teacher:m:rows.jsonl:{n}" for n in range(1, 16)]
    assert {(r.topic, r.domain, r.trait, r.facet) for r in records} == {(w.topic, w.domain, w.trait, w.facet)
                                                                        for w in PLAN}


@pytest.mark.parametrize("trouble", ["hang", "drip"])
def test_an_endpoint_that_hangs_is_asked_again(serve, tmp_path, trouble):
    server = serve(good, [trouble])
    start = time.monotonic()
    assert len(ask(server.url, tmp_path, PLAN[:3], timeout=1.0).done) == 3
    assert 1 <= time.monotonic() - start < 5 and len(server.bodies) == 4


def test_an_outage_stops_in_one_sentence_and_the_next_run_asks_only_for_what_is_missing(serve, tmp_path):
    server = serve(good)
    server.troubles += [None] * 6 + ["broken"] * 1000
    with pytest.raises(InputError) as caught:
        ask(server.url, tmp_path)
    message = str(caught.value)
    assert "it answered 500 (Error code: 500), 5 times; see to the server" in message and "\n" not in message
    before = {row["topic"] + row["trait"] for row in written(tmp_path)}
    assert len(before) == 6
    again = serve(good)
    ask(again.url, tmp_path)
    assert len(again.bodies) == 9 and len(written(tmp_path)) == 15
    assert {row["topic"] + row["trait"] for row in written(tmp_path)[:6]} == before
    third = serve(good)
    ask(third.url, tmp_path)
    assert third.bodies == []


def test_no_server_at_all(tmp_path):
    with pytest.raises(InputError, match="the connection failed .*5 times"):
        ask(f"http://127.0.0.1:{free_port()}/v1", tmp_path)


def test_a_wrong_key_is_not_tried_again_and_never_shown(serve, tmp_path):
    server = serve(good, ["forbidden"] * 100)
    with pytest.raises(InputError) as caught:
        ask(server.url, tmp_path)
    assert "it answered 401" in str(caught.value) and "teacher.key_variable" in str(caught.value)
    assert KEY not in str(caught.value) and "***" in str(caught.value)
    assert len(server.bodies) <= 4 and server.keys == {f"Bearer {KEY}"}
    assert KEY not in "".join(path.read_text() for path in tmp_path.iterdir())


BAD = {
    "have an emoji or emoticon": "{} is what I like to do with \U0001f468\u200d\U0001f469\u200d\U0001f467 on days off.",
    "have an invisible character": "{} is what I like to do with \u202emy friends on long days.",
    "name a trait": "{} suits me well, for my openness makes me like all of it.",
    "have an answer outside 8 to 40 words (plain)": "{} is nice.",
    "decline to answer": "I'm sorry, but {} is nothing that I can talk about with you today.",
    "do not name the topic": "I like to do this with all my friends on long days and short ones.",
    "have no answer": "",
}


def test_bad_answers_are_refused_with_the_reason_and_asked_for_again(serve, tmp_path):
    left = list(BAD.values())

    def answer(body):
        topic = body["messages"][-1]["content"].split()[2].strip(",")
        return left.pop(0).format(topic) if left else good(body)

    server = serve(answer)
    progress = ask(server.url, tmp_path, concurrency=1)
    assert progress.account.dropped == dict.fromkeys(BAD, 1) and len(progress.done) == 15
    assert {row["reason"] for row in written(tmp_path, "refused")} == set(BAD)
    told = [b["messages"][0]["content"].split("refused because they ")[1].split("; avoid")[0]
            for b in server.bodies if "refused because" in b["messages"][0]["content"]]
    assert sorted(told) == sorted(BAD)
    assert progress.spent.prompt_tokens == 100 * (15 + len(BAD)), "refused answers cost as well"


def test_copies_and_near_copies_are_refused_and_given_up_after_the_last_attempt(serve, tmp_path):
    words = "Jazz Tea Chess is what fills my long and lovely days with very good people around me".split()
    server = serve(lambda body: " ".join([*words, body["messages"][-1]["content"].split()[2].strip(",")]))
    progress = ask(server.url, tmp_path, attempts=2, concurrency=1)
    assert len(progress.done) == 1 and progress.account.dropped == {"repeat another answer, or nearly": 28}
    assert len(server.bodies) == 29
    ask(server.url, tmp_path, attempts=2)
    assert len(server.bodies) == 29, "all runs together"
    ask(server.url, tmp_path, attempts=3)
    assert len(server.bodies) == 43
    seeds = Counter((json.dumps(b["messages"][-1]), b["seed"]) for b in server.bodies)
    assert max(seeds.values()) == 1, "no asking is repeated"


def test_an_answer_that_was_cut_off_is_refused(serve, tmp_path):
    progress = ask(serve(good, finish="length").url, tmp_path, PLAN[:1], attempts=1)
    assert progress.account.dropped == {"break off before their end": 1}


def step(folder, wait=True):
    command = [sys.executable, "-m", "tasks", "teacher"]
    if not wait:
        return subprocess.Popen(command, cwd=folder, env=project_environment(), stderr=subprocess.PIPE, text=True,
                                start_new_session=True)
    return subprocess.run(command, cwd=folder, env=project_environment(), capture_output=True, text=True, timeout=900)


def project_environment():
    return environment() | {"TEACHER_API_KEY": KEY, "PYTHONPATH": str(ROOT)}


def project(folder, **settings):
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["teacher"] |= {"examples": str(ROOT / "data/corpus"), "model": "m", "most_topics": 8, "classifier": None}
    params["teacher"] |= settings
    folder.mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return folder / "data/teacher"


def wait_until(condition, process, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
    assert condition(), process.stderr.read() if process.poll() is not None else "too slow"


def test_a_step_killed_in_the_middle_goes_on_where_it_was(serve, tmp_path):
    server = serve(good, wait=0.15)
    folder = project(tmp_path / "p", base_url=server.url, concurrency=2)
    process = step(tmp_path / "p", wait=False)
    wait_until(lambda: (folder / "rows.jsonl").exists() and len(written(folder)) >= 8, process, 90)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    with open(folder / "rows.jsonl", "ab") as file:
        file.write(b'{"answer": "torn by a power c')
    kept = (folder / "rows.jsonl").read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
    asked = len(server.bodies)
    done = step(tmp_path / "p")
    assert done.returncode == 0, done.stderr
    assert (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()[:len(kept)] == kept
    rows = written(folder)
    assert len({(r["topic"], r["trait"]) for r in rows}) == len(rows) == 40
    assert len(server.bodies) - asked == 40 - len(kept), "only what is missing is asked"
    assert "40 rows kept" in done.stderr and "0 refused" in done.stderr and "0 of the plan's 40" in done.stderr
    assert KEY not in done.stderr


@pytest.mark.slow
def test_transformers_serve_killed_and_restarted_in_the_middle(tmp_path):
    """Nothing that was accepted is lost or asked for again, whether server or step is killed."""
    pytest.importorskip("uvicorn")
    model = ROOT / "models/base"
    if not model.is_dir():
        pytest.skip("needs models/base: dvc repro base_model")
    port = free_port()

    def start():
        log = (tmp_path / "serve.log").open("a")
        server = subprocess.Popen(
            ["transformers", "serve", "--host", "127.0.0.1", "--port", str(port)],
            env=environment() | {"HF_HUB_OFFLINE": "1"}, stdout=log, stderr=log, start_new_session=True)
        wait_for(f"http://127.0.0.1:{port}/health", server)
        return server

    server = start()
    folder = project(tmp_path / "p", base_url=f"http://127.0.0.1:{port}/v1", model=str(model), concurrency=2,
                     most_topics=4, attempts=6, timeout=120, temperature=0.8)
    process = step(tmp_path / "p", wait=False)
    try:
        wait_until(lambda: (folder / "rows.jsonl").exists() and len(written(folder)) >= 3, process, 300)
        stop(server)
        before = written(folder)
        time.sleep(3)  # requests meet a closed port and wait
        server = start()
        wait_until(lambda: len(written(folder)) >= len(before) + 2, process, 300)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        middle = written(folder)
        assert middle[:len(before)] == before
        done = step(tmp_path / "p")
        assert done.returncode == 0, done.stderr
        rows, refused = written(folder), written(folder, "refused")
        assert rows[:len(middle)] == middle
        keys = [(r["topic"], r["trait"]) for r in rows]
        assert len(set(keys)) == len(keys)
        tried = Counter((r["topic"], r["trait"], r["attempt"]) for r in rows + refused)
        assert max(tried.values()) == 1, "no answered request is repeated"
        assert all(tried.get((*key, n)) for key in keys for n in range(1, 1 + next(
            r["attempt"] for r in rows if (r["topic"], r["trait"]) == key)))
        given_up = {(r["topic"], r["trait"]) for r in refused if r["attempt"] == 6}
        assert len(set(keys) | given_up) == 20
        print(done.stderr, file=sys.stderr)
    finally:
        stop(process)
        stop(server)

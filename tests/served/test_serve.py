"""`traitlab serve` as a real process on loopback, asked through OpenAI's own client."""
import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from served_helpers import ROOT, environment, free_port, stop, wait_for

KEY = "secret-5e21"
QUESTIONS = [f"What do you think of topic {k}?" for k in range(8)]
VOICES = ["base", "openness", "extraversion:0.7+openness:0.3", "steering/openness"]


@pytest.fixture(scope="module")
def served(persona_folder, tmp_path_factory):
    port, log = free_port(), tmp_path_factory.mktemp("serve") / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "use", "serve", "--port", str(port)], cwd=persona_folder, stdout=out, stderr=out,
            env=environment() | {"PYTHONPATH": str(ROOT), "TRAITLAB_API_KEY": KEY}, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1", log
    finally:
        stop(process)


@pytest.fixture(scope="module")
def client(served):
    return openai.OpenAI(base_url=served[0], api_key=KEY, max_retries=0)


def say(client, model, question, **options):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}], max_tokens=12,
                                          temperature=0, **options)


def test_the_model_name_selects_the_persona(client):
    names = [model.id for model in client.models.list()]
    assert {"base", "openness", "steering/openness", "prompt/neuroticism"} <= set(names)
    said = {voice: say(client, voice, QUESTIONS[0]).choices[0].message.content for voice in VOICES}
    assert len(set(said.values())) == len(VOICES)


def test_requests_at_once_get_what_each_gets_alone(client):
    asked = [(voice, question) for voice in VOICES for question in QUESTIONS]
    alone = [say(client, *one).choices[0].message.content for one in asked]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda one: say(client, *one).choices[0].message.content, asked))
    assert together == alone


def test_a_stream_brings_the_same_answer_in_pieces(client):
    whole = say(client, "openness", QUESTIONS[1])
    pieces = [chunk.choices[0] for chunk in say(client, "openness", QUESTIONS[1], stream=True)]
    assert "".join(p.delta.content or "" for p in pieces).strip() == whole.choices[0].message.content
    assert len(pieces) > 3 and pieces[-1].finish_reason == whole.choices[0].finish_reason
    assert whole.usage.completion_tokens <= 12 and whole.usage.prompt_tokens > 5


def test_a_seed_makes_a_sample_repeatable(client):
    draw = lambda seed: client.chat.completions.create(  # noqa: E731
        model="openness", messages=[{"role": "user", "content": "Tea?"}], max_tokens=12, temperature=1.0, seed=seed,
    ).choices[0].message.content
    assert draw(7) == draw(7) != draw(8)


@pytest.mark.parametrize("model, error", [("kindness", openai.NotFoundError), ("openness:9", openai.NotFoundError),
                                          ("steering/extraversion", openai.NotFoundError)])
def test_an_unknown_persona_is_refused_in_a_sentence(client, model, error):
    with pytest.raises(error, match=model):
        say(client, model, "Tea?")


def test_more_tokens_than_the_model_holds_are_refused(client):
    with pytest.raises(openai.BadRequestError, match="more than the model's 512"):
        client.chat.completions.create(model="base", messages=[{"role": "user", "content": "tea " * 900}])


def test_without_the_key_nothing_is_told_and_the_key_is_in_no_log(served):
    for key in ("wrong", KEY + "x"):
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=served[0], api_key=key, max_retries=0).models.list()
    body = json.dumps({"model": "base", "messages": [{"role": "user", "content": "x"}]}).encode()
    request = urllib.request.Request(f"{served[0]}/chat/completions", body, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request)
    assert KEY not in served[1].read_text()

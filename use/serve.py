"""An OpenAI-compatible server for the trained personas: the model's name selects the voice (use/voices.py).

Requests that wait are answered in one batch, whatever their voices; streams run one at a time. It listens on loopback
unless told otherwise, and asks for the key in TRAITLAB_API_KEY if that is set.
"""
import json
import os
import secrets
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from traitlab.errors import InputError
from traitlab.language_model.generation import Generated, Sampling, generate, stream
from traitlab.params import Params
from use.voices import Voice, Voices, parse, pieces

KEY_VARIABLE = "TRAITLAB_API_KEY"
BATCH = 64  # requests answered together, at the most


class Message(BaseModel):
    role: str = Field(pattern="^(system|user|assistant)$")
    content: str


class ChatRequest(BaseModel):
    """What of OpenAI's request is heeded; the rest of it is accepted and has no effect."""

    model_config = ConfigDict(extra="ignore")
    model: str
    messages: list[Message] = Field(min_length=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    seed: int | None = None
    stream: bool = False


@dataclass
class Job:
    """A request that waits for its answer."""

    prompt: list[int]
    voice: Voice
    sampling: Sampling
    seed: int
    done: Future = field(default_factory=Future)


class Engine:
    """Answers jobs in batches, on a thread of its own: one model, one user of it at a time."""

    def __init__(self, voices: Voices):
        self.voices = voices
        self.using = threading.Lock()
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def answer(self, job: Job) -> Generated:
        self._jobs.put(job)
        return job.done.result()

    def _work(self) -> None:
        while True:
            with_it = [self._jobs.get()]
            with self.using:
                while len(with_it) < BATCH:
                    try:
                        with_it.append(self._jobs.get_nowait())
                    except Empty:
                        break
                for sampling in dict.fromkeys(job.sampling for job in with_it):
                    self._answer([job for job in with_it if job.sampling == sampling], sampling)

    def _answer(self, jobs: list[Job], sampling: Sampling) -> None:
        import torch

        try:
            mixes = torch.stack([self.voices.mix(job.voice) for job in jobs])
            found = generate(self.voices.lm, [job.prompt for job in jobs], sampling, [job.seed for job in jobs],
                             self.voices.adapters, mixes, BATCH)
            for job, answer in zip(jobs, found):
                job.done.set_result(answer)
        except Exception as e:
            for job in jobs:
                job.done.set_exception(e)


def make_app(voices: Voices, params: Params) -> FastAPI:
    app = FastAPI(title="traitlab")
    engine = Engine(voices)
    longest = voices.lm.model.config.max_position_embeddings

    def allowed(request: Request) -> None:
        key = os.environ.get(KEY_VARIABLE)
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if key and not secrets.compare_digest(given.encode(), key.encode()):
            raise HTTPException(401, "the key is missing or wrong")

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException):
        kind = "authentication_error" if error.status_code == 401 else "invalid_request_error"
        return JSONResponse({"error": {"message": error.detail, "type": kind}}, error.status_code)

    @app.get("/health")
    def health() -> dict:
        return {"status": "ok"}

    @app.get("/v1/models", dependencies=[Depends(allowed)])
    def models() -> dict:
        return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "traitlab"}
                                           for name in voices.names()]}

    @app.post("/v1/chat/completions", dependencies=[Depends(allowed)])
    def complete(request: ChatRequest):
        job = prepare(request)
        about = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": request.model}
        if request.stream:
            return StreamingResponse(events(job, about), media_type="text/event-stream")
        answer = engine.answer(job)
        return about | {
            "object": "chat.completion",
            "choices": [{"index": 0, "finish_reason": "stop" if answer.finished else "length",
                         "message": {"role": "assistant", "content": voices.lm.decode(answer.ids)}}],
            "usage": usage(job, len(answer.ids) + answer.finished)}

    def prepare(request: ChatRequest) -> Job:
        settings = params.respond
        try:
            voice = parse(request.model)
            voices.mix(voice)
        except InputError as e:
            raise HTTPException(404, str(e)) from None
        most = request.max_completion_tokens or request.max_tokens or settings.max_new_tokens
        prompt = voices.prompt(voice, [message.model_dump() for message in request.messages])
        if len(prompt) + most > longest:
            raise HTTPException(400, f"{len(prompt)} tokens of messages and {most} of answer are more than the model's "
                                     f"{longest}; shorten the conversation or lower max_tokens")
        temperature = settings.temperature if request.temperature is None else request.temperature
        seed = secrets.randbits(32) if request.seed is None else request.seed % 2**63
        return Job(prompt, voice, Sampling(temperature, request.top_p or settings.top_p, most), seed)

    def usage(job: Job, tokens: int) -> dict:
        return {"prompt_tokens": len(job.prompt), "completion_tokens": tokens, "total_tokens": len(job.prompt) + tokens}

    def events(job: Job, about: dict):
        def event(delta: dict, reason: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            content = about | {"object": "chat.completion.chunk", "choices": [choice]}
            return f"data: {json.dumps(content)}\n\n"

        drawn = 0
        yield event({"role": "assistant", "content": ""})
        with engine.using:
            tokens = stream(voices.lm, job.prompt, job.sampling, job.seed, voices.adapters, voices.mix(job.voice))
            for drawn, piece, _ in pieces(voices.lm, tokens):  # noqa: B007
                if piece:
                    yield event({"content": piece})
        yield event({}, "length" if drawn == job.sampling.max_new_tokens else "stop")
        yield "data: [DONE]\n\n"

    return app


def run(params: Params, host: str, port: int) -> None:
    import uvicorn

    app = make_app(Voices.load(params), params)
    print(f"OpenAI-compatible: http://{host}:{port}/v1   personas: GET /v1/models   Ctrl-C stops it", flush=True)
    uvicorn.run(app, host=host, port=port, log_level="warning")

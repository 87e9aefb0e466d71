"""A chat model behind an OpenAI-compatible endpoint: many requests at a time, patient with a server in trouble."""
import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from traitlab.errors import InputError

FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0  # seconds before the first repetition, and before any
BUSY = {408, 409, 425, 429}  # status codes, beside 5xx, after which the same request may succeed


class Request(Protocol):
    """What is asked: a conversation, and the seed of the sampling."""

    messages: list[dict]
    seed: int


Asked = TypeVar("Asked", bound=Request)


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        text: the answer.
        prompt_tokens, answer_tokens: read and written for it; 0 where the endpoint does not say.
        finished: whether the model ended it itself; one that was cut off stops in the middle of a sentence.
    """

    text: str
    prompt_tokens: int
    answer_tokens: int
    finished: bool


class Malformed(Exception):
    """A reply of status 200 that is no chat completion."""


class Endpoint:
    """The endpoint.

    Args:
        section: of params.yaml whose keys the messages name.
        base_url: up to and with /v1.
        model: the name under which the server knows it.
        key: secret of the account, or any text where the server asks for none; appears in no message.
        temperature, top_p, max_new_tokens: of sampling.
        concurrency: requests under way at a time.
        timeout: seconds until a request that has no whole reply is given up and repeated.
        retries: repetitions of a request (after 429, 5xx, time-outs, broken connections and malformed replies) with
            exponentially growing waits, before the run stops.
    """

    def __init__(self, section: str, base_url: str, model: str, key: str, *, temperature: float, top_p: float,
                 max_new_tokens: int, concurrency: int, timeout: float, retries: int, first_wait: float = FIRST_WAIT):
        self.model = model
        self._section, self._where, self._key = section, base_url, key
        self._sampling = {"temperature": temperature, "top_p": top_p, "max_tokens": max_new_tokens}
        self._concurrency, self._timeout, self._retries = concurrency, timeout, retries
        self._first_wait = first_wait

    def answer(self, requests: Iterable[Asked], on_reply: Callable[[Asked, Reply], None]) -> None:
        """Hand over every reply as it comes; the order is that of arrival.

        Raises:
            InputError: the endpoint refuses a request for good, or is still in trouble after all repetitions. Requests
                under way are brought to their end first, so that what they cost is not lost.
        """
        asyncio.run(self._answer_all(iter(requests), on_reply))

    async def _answer_all(self, requests: Iterator[Request], on_reply) -> None:
        from openai import AsyncOpenAI

        failed: list[Exception] = []

        async def work() -> None:
            while not failed and (request := next(requests, None)) is not None:
                try:
                    on_reply(request, await self._reply(client, request))
                except Exception as e:
                    failed.append(e)

        async with AsyncOpenAI(base_url=self._where, api_key=self._key, max_retries=0, timeout=self._timeout) as client:
            await asyncio.gather(*(work() for _ in range(self._concurrency)))
        if failed:
            raise failed[0]

    async def _reply(self, client, request: Request) -> Reply:
        for attempt in range(self._retries + 1):
            try:
                async with asyncio.timeout(self._timeout):
                    return _reply(await client.chat.completions.create(
                        model=self.model, messages=request.messages, seed=request.seed, **self._sampling))
            except Exception as e:
                trouble, again = _trouble(e)
                if not again:
                    raise InputError(self._sentence(trouble, f"check {self._section}.base_url, "
                                                    f"{self._section}.model and the key in the variable that "
                                                    f"{self._section}.key_variable names")) from None
                if attempt == self._retries:
                    raise InputError(self._sentence(f"{trouble}, {attempt + 1} times", "see to the server and run "
                                                    "again; what is there is kept")) from None
                await asyncio.sleep(self._wait(attempt, e))
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, attempt: int, error: Exception) -> float:
        """Seconds: what the server asks for, or twice as long each time; with jitter, so that not all come at once."""
        headers = getattr(getattr(error, "response", None), "headers", {})
        try:
            asked = float(headers.get("retry-after", ""))
        except ValueError:
            asked = 0.0
        grown = self._first_wait * 2**attempt * random.uniform(0.5, 1.0)
        return min(LONGEST_WAIT, max(asked, grown))

    def _sentence(self, trouble: str, remedy: str) -> str:
        text = f"{self._section}.base_url = {self._where!r}: {trouble}; {remedy}"
        return text.replace(self._key, "***") if self._key else text


def _reply(completion) -> Reply:
    """The parts of a chat completion that are used, checked: the client lets any JSON, and any text, pass as one."""
    try:
        choice = completion.choices[0]
        text = choice.message.content if choice.message.content is not None else ""
        usage = completion.usage
        tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        if not isinstance(text, str) or not all(isinstance(n, int) and n >= 0 for n in tokens):
            raise TypeError
    except (AttributeError, IndexError, TypeError, KeyError):
        shown = " ".join(str(completion).split())[:80]
        raise Malformed(f"its reply is no chat completion ({shown!r})") from None
    return Reply(text, *tokens, finished=choice.finish_reason != "length")


def _trouble(error: Exception) -> tuple[str, bool]:
    """What went wrong, in words, and whether the same request may succeed later.

    Raises:
        Exception: the error itself, when it is not the endpoint's.
    """
    import openai

    if isinstance(error, Malformed):
        return str(error), True
    if isinstance(error, (TimeoutError, openai.APITimeoutError)):
        return "there was no whole reply in time", True
    if isinstance(error, openai.APIConnectionError):
        return f"the connection failed ({error.__cause__ or error})", True
    if isinstance(error, openai.APIStatusError):
        code = error.status_code
        return f"it answered {code} ({' '.join(str(error.message).split())[:200]})", code >= 500 or code in BUSY
    if isinstance(error, (openai.APIError, ValueError)):  # JSON that is cut off, or bytes that are no text
        return f"its reply cannot be read ({' '.join(str(error).split())[:80]})", True
    raise error

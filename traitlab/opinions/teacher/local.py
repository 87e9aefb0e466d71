"""A teacher in this process: a chat model from a folder, asked in batches."""
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from traitlab.language_model.generation import Sampling, generate
from traitlab.language_model.model import LanguageModel
from traitlab.opinions.teacher.collect import Reply, Request
from traitlab.params import Compute


class Local:
    """The teacher.

    Args:
        folder: a chat model as `save_pretrained` writes it.
        sampling: how tokens are drawn.
        batch_size: requests answered together, and lost together when the process is killed.
    """

    def __init__(self, folder: str | Path, compute: Compute, sampling: Sampling, batch_size: int):
        self.model = str(folder)
        self._lm = LanguageModel.load(folder, compute)
        self._sampling, self._batch_size = sampling, batch_size

    def answer(self, requests: Iterable[Request], on_reply: Callable[[Request, Reply], None]) -> None:
        """Hand over the replies batch by batch."""
        requests = iter(requests)
        while batch := list(islice(requests, self._batch_size)):
            prompts = [self._lm.prompt_ids(request.messages) for request in batch]
            answers = generate(self._lm, prompts, self._sampling, [request.seed for request in batch],
                               batch_size=self._batch_size)
            for request, prompt, answer in zip(batch, prompts, answers, strict=True):
                on_reply(request, Reply(self._lm.decode(answer.ids), len(prompt), len(answer.ids), answer.finished))

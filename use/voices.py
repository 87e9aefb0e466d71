"""Voices: the trained personas, told apart by a name that also says how strong each trait is.

    base    extraversion    extraversion:0.7+openness:0.3    steering/openness:0.5    prompt/agreeableness

A mixture adds the traits' low-rank deltas, each times its strength; beyond 1 a trait is stronger than it was trained,
below 0 it is turned round.
"""
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from traitlab.errors import InputError
from traitlab.language_model.low_rank import LowRankAdapters, load_adapter
from traitlab.language_model.model import LanguageModel
from traitlab.params import Params
from traitlab.personas import steering
from traitlab.personas.persona import Messages
from traitlab.personas.prompting import instructed
from traitlab.traits import TRAITS

BASE, FOLDER = Path("models/nf4"), Path("models/personas")
PART = re.compile(r"(?:(?P<method>qlora|steering|prompt)/)?(?P<trait>[a-z]+)(?::(?P<strength>-?\d+(?:\.\d+)?))?")
MOST = 4.0  # strengths beyond it give noise


@dataclass(frozen=True)
class Voice:
    """Attributes:
    strengths: {(method, trait): strength} of qlora and steering.
    told: traits described in a system message.
    """

    strengths: dict[tuple[str, str], float]
    told: tuple[str, ...] = ()


def named(trait: str | None, strength: float, mix: list[str], method: str = "qlora") -> str:
    """The name of a voice that options describe.

    Args:
        mix: each TRAIT=STRENGTH.
    """
    parts = []
    if trait:
        parts.append(f"{method}/{trait}" + ("" if method == "prompt" and strength == 1.0 else f":{strength:g}"))
    for item in mix:
        other, _, amount = item.partition("=")
        if not amount:
            raise InputError(f"--mix {item}: write TRAIT=STRENGTH, such as openness=0.3")
        parts.append(f"{method}/{other}:{amount}")
    return "+".join(parts) or "base"


def parse(name: str) -> Voice:
    """Raises InputError: the name is none of a voice."""
    if name == "base":
        return Voice({})
    strengths, told = {}, []
    for part in name.split("+"):
        found = PART.fullmatch(part.strip())
        if not found or found["trait"] not in TRAITS:
            raise InputError(f"persona {name!r}: {part.strip()!r} is not base and not [qlora/|steering/|prompt/]TRAIT"
                             f"[:STRENGTH], with a trait of {', '.join(TRAITS)}")
        method, strength = found["method"] or "qlora", float(found["strength"] or 1.0)
        if abs(strength) > MOST:
            raise InputError(f"persona {name!r}: strength {strength:g} is beyond {MOST:g}")
        if method == "prompt":
            if found["strength"]:
                raise InputError(f"persona {name!r}: a prompt has no strength; write prompt/{found['trait']}")
            told.append(found["trait"])
        else:
            key = method, found["trait"]
            strengths[key] = strengths.get(key, 0.0) + strength
    return Voice(strengths, tuple(told))


class Voices:
    """The model with all adapters and vectors attached.

    Attributes:
        lm: the NF4 base.
        adapters: of every trained persona; their order is that of `keys`.
        keys: (method, trait).
    """

    def __init__(self, lm: LanguageModel, found: dict):
        self.lm, self.keys = lm, list(found)
        self.adapters = LowRankAdapters(lm.model, list(found.values()))

    @classmethod
    def load(cls, params: Params, base: Path = BASE, folder: Path = FOLDER) -> "Voices":
        lm = LanguageModel.load(base, params.compute)
        found = {("qlora", trait): load_adapter(folder / "qlora" / trait) for trait in TRAITS
                 if (folder / "qlora" / trait).is_dir()}
        found |= {("steering", trait): steering.load(lm, folder / "steering", trait) for trait in TRAITS
                  if (folder / "steering" / f"{trait}.safetensors").is_file()}
        return cls(lm, found)

    def mix(self, voice: Voice) -> torch.Tensor:
        """The strengths of all adapters (adapters,).

        Raises:
            InputError: a persona was not trained.
        """
        missing = [f"{method}/{trait}" for method, trait in voice.strengths if (method, trait) not in self.keys]
        if missing:
            raise InputError(f"{', '.join(missing)}: not trained here; run `dvc repro`")
        return torch.tensor([voice.strengths.get(key, 0.0) for key in self.keys])

    def prompt(self, voice: Voice, messages: Messages) -> list[int]:
        """Token ids of a conversation, with what the voice is told before it."""
        told = [instructed(trait)("")[0] for trait in voice.told]
        if told and messages and messages[0]["role"] == "system":
            told, messages = [*told, messages[0]], messages[1:]
        system = [{"role": "system", "content": "\n\n".join(m["content"] for m in told)}] if told else []
        return self.lm.prompt_ids([*system, *messages])

    def names(self) -> list[str]:
        """Those without strengths and mixtures."""
        return ["base", *(trait if method == "qlora" else f"{method}/{trait}" for method, trait in self.keys),
                *(f"prompt/{trait}" for trait in TRAITS)]


def pieces(lm: LanguageModel, tokens: Iterator[int]) -> Iterator[tuple[int, str, str]]:
    """For each token: how many there are, what it adds to the text, the text; a character comes with its last byte."""
    ids, shown = [], ""
    for token in tokens:
        ids.append(token)
        text = lm.decode(ids)
        whole = "" if text.endswith("\ufffd") else text[len(shown) :]
        shown += whole
        yield len(ids), whole, text
    if ids and len(text) > len(shown):
        yield len(ids), text[len(shown) :], text

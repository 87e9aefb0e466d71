"""Which token sequences spell an emoji: a trie over bytes, walked by the tokens of a vocabulary.

The event "an emoji starts here" is a set of byte strings: an optional space, then the bytes of any RGI form. A string
is in it as soon as its first bytes are, so only the shortest forms matter (a family starts with a man), and each string
of tokens falls into one of three kinds: it has begun with an emoji (accepted, whatever follows, even within the same
token), it may still become one (a strict prefix, with parts of characters in between), or it never will.
"""
from dataclasses import dataclass

from traitlab.emoji.segmentation import rgi_forms
from traitlab.errors import InputError


def vocabulary_bytes(tokenizer) -> list[bytes | None]:
    """The bytes each token id adds to a text; None for special tokens.

    Reads byte-level BPE (GPT-2, LLaMA-3, Qwen, SmolLM2) and SentencePiece with byte fallback (LLaMA-2, Mistral, Gemma).

    Raises:
        InputError: another kind of tokenizer.
    """
    import json

    decoder = json.dumps(json.loads(tokenizer.backend_tokenizer.to_str())["decoder"])
    if "ByteLevel" in decoder:
        letters = _byte_letters()

        def spell(token):
            return bytes(letters[c] for c in token) if all(c in letters for c in token) else None
    elif "ByteFallback" in decoder:
        spell = _sentencepiece_bytes
    else:
        raise InputError(f"{tokenizer.name_or_path}: emoji probabilities need a tokenizer that works on bytes "
                         "(byte-level BPE, or SentencePiece with byte fallback); choose another base model")
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    spelled: list[bytes | None] = [None] * len(tokenizer)
    for token, i in tokenizer.get_vocab().items():
        spelled[i] = None if i in special else spell(token)
    return spelled


def _byte_letters() -> dict[str, int]:
    """GPT-2's letters for bytes: a printable byte is itself, the others follow from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + k): b for k, b in enumerate(others)}


def _sentencepiece_bytes(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("\u2581", " ").encode()


@dataclass(frozen=True)
class Step:
    """What the tokens of the vocabulary do in one state.

    Attributes:
        accepted: token ids that complete an emoji.
        completed: which one each of them completes.
        partial: token ids after which one may still come, and the states they lead to.
    """

    accepted: list[int]
    completed: list[str]
    partial: list[int]
    states: list[bytes]


class EmojiAutomaton:
    """States are the bytes said so far, b"" at the start; a state is a strict prefix of an emoji's bytes.

    Args:
        vocabulary: bytes of each token id, None for special tokens.
        forms: the emoji; by default all RGI forms.
    """

    def __init__(self, vocabulary: list[bytes | None], forms: tuple[str, ...] | None = None):
        spellings = {form.encode() for form in forms or rgi_forms()}
        shortest = {s for s in spellings if not any(s[:i] in spellings for i in range(1, len(s)))}
        self._accepted = {space + s for s in shortest for space in (b"", b" ")}
        self._partial: dict[bytes, set[int]] = {}  # strict prefix -> bytes that may follow
        for s in self._accepted:
            for i in range(len(s)):
                self._partial.setdefault(s[:i], set()).add(s[i])
        self._by_first_byte: dict[int, list[int]] = {}
        for i, spelled in enumerate(vocabulary):
            if spelled:
                self._by_first_byte.setdefault(spelled[0], []).append(i)
        self._vocabulary = vocabulary
        self._steps: dict[bytes, Step] = {}

    def step(self, state: bytes) -> Step:
        if state not in self._steps:
            accepted, completed, partial, states = [], [], [], []
            for first in sorted(self._partial[state]):
                for token in self._by_first_byte.get(first, []):
                    said = self._read(state, self._vocabulary[token])
                    if said in self._accepted:
                        accepted.append(token)
                        completed.append(said.decode().strip())
                    elif said is not None:
                        partial.append(token)
                        states.append(said)
            self._steps[state] = Step(accepted, completed, partial, states)
        return self._steps[state]

    def _read(self, state: bytes, more: bytes) -> bytes | None:
        """The state after `more`: an accepted string as soon as one is reached, None when no emoji can come of it."""
        for byte in more:
            state += bytes([byte])
            if state in self._accepted:
                return state
            if state not in self._partial:
                return None
        return state

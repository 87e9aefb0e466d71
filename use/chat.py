"""Talk to a persona in the terminal; beside each answer, what the trait classifier makes of it while it grows."""
import sys

from traitlab.language_model.generation import Sampling, stream
from traitlab.metric_models.classifier import TraitClassifier
from traitlab.params import Params
from traitlab.traits import LABELS
from use.voices import Voices, parse

EVERY = 8  # tokens between two readings
WIDTH = 30  # of a bar


def run(params: Params, name: str, seed: int) -> None:
    voice = parse(name)
    voices = Voices.load(params)
    mix = voices.mix(voice)
    classifier = TraitClassifier.load("models/trait_classifier")
    sampling = Sampling(params.respond.temperature, params.respond.top_p, params.respond.max_new_tokens)
    print(f"{name}. Ask something; an empty line or Ctrl-D ends it.", flush=True)
    messages = []
    while question := _ask():
        messages.append({"role": "user", "content": question})
        prompt = voices.prompt(voice, messages)
        tokens = stream(voices.lm, prompt, sampling, seed + len(messages), voices.adapters, mix)
        answer = (_live if sys.stdout.isatty() else _plain)(voices.lm, tokens, classifier)
        messages.append({"role": "assistant", "content": answer})


def _ask() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        print()
        return ""


def _live(lm, tokens, classifier) -> str:
    """The answer, and under it bars that move with it."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    ids, bars = [], ""
    with Live(refresh_per_second=8) as live:
        for token in tokens:
            ids.append(token)
            if len(ids) % EVERY == 0:
                bars = reading(classifier, lm.decode(ids))
            live.update(Group(Text(lm.decode(ids)), Text(bars, style="dim")))
        live.update(Group(Text(lm.decode(ids)), Text(reading(classifier, lm.decode(ids)), style="dim")))
    return lm.decode(ids)


def _plain(lm, tokens, classifier) -> str:
    """The answer word by word, and a last reading: for pipes."""
    ids, shown = [], ""
    for token in tokens:
        ids.append(token)
        text = lm.decode(ids)
        if not text.endswith("\ufffd"):  # half a character
            print(text[len(shown):], end="", flush=True)
            shown = text
    print("\n" + reading(classifier, lm.decode(ids)), flush=True)
    return lm.decode(ids)


def reading(classifier: TraitClassifier, text: str) -> str:
    """The classifier's probabilities of a text, a bar a line."""
    (probabilities,) = classifier.probabilities([text])
    return "\n".join(f"{label:17} {p:4.0%} {'█' * round(WIDTH * p)}" for label, p in zip(LABELS, probabilities))

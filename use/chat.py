"""Talk to a persona in the terminal; beside each answer, what the trait classifier makes of it while it grows."""
import sys

from traitlab.language_model.generation import Sampling, stream
from traitlab.metric_models.classifier import TraitClassifier
from traitlab.params import Params
from traitlab.traits import LABELS
from use.voices import Voices, parse, pieces

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

    text, bars = "", ""
    with Live(refresh_per_second=8) as live:
        for count, _, text in pieces(lm, tokens):
            if count % EVERY == 0:
                bars = reading(classifier, text)
            live.update(Group(Text(text), Text(bars, style="dim")))
        live.update(Group(Text(text), Text(reading(classifier, text), style="dim")))
    return text


def _plain(lm, tokens, classifier) -> str:
    """The answer word by word, and a last reading: for pipes."""
    text = ""
    for _, piece, text in pieces(lm, tokens):  # noqa: B007
        print(piece, end="", flush=True)
    print("\n" + reading(classifier, text), flush=True)
    return text


def reading(classifier: TraitClassifier, text: str) -> str:
    """The classifier's probabilities of a text, a bar a line."""
    (probabilities,) = classifier.probabilities([text])
    return "\n".join(f"{label:17} {p:4.0%} {'█' * round(WIDTH * p)}" for label, p in zip(LABELS, probabilities))

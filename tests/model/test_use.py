"""Personas as they are used: streamed, mixed, merged into one model."""
import pytest
import torch

from traitlab.errors import InputError
from traitlab.language_model.generation import Sampling, generate, stream
from traitlab.language_model.model import LanguageModel
from traitlab.params import load
from traitlab.personas.persona import ask
from use import export
from use.voices import Voices, parse


@pytest.fixture
def voices(persona_folder, monkeypatch):
    monkeypatch.chdir(persona_folder)
    return Voices.load(load())


@pytest.mark.parametrize("name", ["base", "extraversion:0.7+openness:0.3", "steering/openness:-1", "prompt/openness"])
def test_a_stream_gives_the_tokens_of_generate(voices, name):
    voice = parse(name)
    prompt, mix = voices.prompt(voice, ask("What of jazz?")), voices.mix(voice)
    for sampling in (Sampling(0.0, 1.0, 10), Sampling(0.7, 0.9, 10)):
        (whole,) = generate(voices.lm, [prompt], sampling, [3], voices.adapters, mix[None])
        assert tuple(stream(voices.lm, prompt, sampling, 3, voices.adapters, mix)) == whole.ids


def test_what_a_voice_is_told_joins_the_users_system_message(voices):
    text = voices.lm.tokenizer.decode(voices.prompt(parse("prompt/openness"), [
        {"role": "system", "content": "Speak briefly."}, *ask("Tea?")]))
    assert text.count("system") == 1 and "high in openness" in text and "Speak briefly." in text
    assert voices.prompt(parse("openness"), ask("Tea?")) == voices.lm.prompt_ids(ask("Tea?"))


def test_a_persona_that_was_not_trained_is_named(voices):
    with pytest.raises(InputError, match="steering/extraversion: not trained here"):
        voices.mix(parse("steering/extraversion"))


def test_an_exported_mixture_gives_the_logits_of_the_mixed_adapters(voices, tmp_path, capsys):
    name = "extraversion:0.7+openness:-0.3"
    export.run(load(), name, str(tmp_path / "out"), gguf=False)
    assert "extraversion" in capsys.readouterr().out
    plain = LanguageModel.load(tmp_path / "out", load().compute)
    prompt = torch.tensor([voices.lm.prompt_ids(ask("What of jazz?"))])
    with torch.no_grad(), voices.adapters.mixed(voices.mix(parse(name))[None]):
        mixed = voices.lm.model(prompt).logits
    with torch.no_grad():
        merged = plain.model(prompt).logits
        base = voices.lm.model(prompt).logits
    # The exported weights are rounded to bfloat16.
    assert (merged - mixed).abs().max() < 0.05 * (mixed - base).abs().max()

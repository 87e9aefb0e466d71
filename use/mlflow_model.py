"""The personas as an MLflow model: `mlflow models serve -m models:/traitlab@newest` answers chat requests.

Logged as this file, not as a pickle. A request names its persona in custom_inputs: {"persona": "extraversion:0.7"}.
"""
import secrets
import time

from mlflow.models import set_model
from mlflow.pyfunc import ChatModel
from mlflow.types.llm import ChatChoice, ChatCompletionResponse, ChatMessage, TokenUsageStats


class Personas(ChatModel):
    """All voices of a project (use/voices.py); without a persona it is the base model."""

    def load_context(self, context):
        from pathlib import Path

        from traitlab.params import load
        from use.voices import Voices

        self.params = load(context.artifacts["params"])
        self.voices = Voices.load(self.params, Path(context.artifacts["nf4"]), Path(context.artifacts["personas"]))

    def predict(self, context, messages, params):
        from traitlab.language_model.generation import Sampling, generate
        from use.voices import parse

        asked, settings, voices = params.custom_inputs or {}, self.params.respond, self.voices
        voice = parse(asked.get("persona", "base"))
        prompt = voices.prompt(voice, [{"role": m.role, "content": m.content} for m in messages])
        sampling = Sampling(params.temperature, params.top_p or settings.top_p,
                            params.max_tokens or settings.max_new_tokens)
        seed = int(asked.get("seed", secrets.randbits(32)))
        (answer,) = generate(voices.lm, [prompt], sampling, [seed], voices.adapters, voices.mix(voice)[None])
        tokens = len(answer.ids) + answer.finished
        usage = TokenUsageStats(len(prompt), tokens, len(prompt) + tokens)
        return ChatCompletionResponse(
            choices=[ChatChoice(ChatMessage("assistant", voices.lm.decode(answer.ids)),
                                finish_reason="stop" if answer.finished else "length")],
            usage=usage, model="traitlab", created=int(time.time()))


set_model(Personas())

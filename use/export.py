"""Write a persona as one model: the NF4 base unpacked, with the mixture of adapters merged into its weights."""
from pathlib import Path

import torch

from tasks.files import replacing
from traitlab.errors import InputError
from traitlab.language_model.low_rank import load_adapter
from traitlab.language_model.model import LanguageModel
from traitlab.params import Params
from use.voices import FOLDER, parse

CARD = """---
base_model: {base}
---
# {name}

A chat model that answers as a persona ({name}), made by traitlab: the base model's NF4 weights, unpacked, with LoRA
adapters merged in. It changes what opinions the model voices and how; it was not made, and must not be used, to judge
people.
"""


def run(params: Params, name: str, to: str, gguf: bool) -> None:
    voice = parse(name)
    compute = params.compute.model_copy(update={"weights": "dequantized", "dtype": "bfloat16"})
    lm = LanguageModel.load("models/nf4", compute, training=True)  # plain weights, not those packed for speed
    merge(lm, {trait: strength for (_, trait), strength in voice.strengths.items()})
    with replacing(to) as new:
        lm.model.save_pretrained(new)
        lm.tokenizer.save_pretrained(new)
        (new / "README.md").write_text(CARD.format(name=name, base=params.base_model.id), encoding="utf-8")
        if gguf:
            from use.gguf import write

            write(new, new / "model.gguf")
    print(f"{to}: {name}, {sum(p.stat().st_size for p in Path(to).iterdir()) / 1e6:.0f} MB")


@torch.no_grad()
def merge(lm: LanguageModel, strengths: dict[str, float]) -> None:
    """Add each trait's adapter, times its strength, to the weights; in float32, rounded once.

    Raises:
        InputError: a trait was not trained.
    """
    adapters = {trait: load_adapter(FOLDER / "qlora" / trait) for trait in strengths}
    for module in {name for adapter in adapters.values() for name in adapter}:
        try:
            weight = lm.model.get_submodule(module).weight
        except AttributeError:
            raise InputError(f"adapter: the model has no module {module}; it was trained on another model") from None
        total = weight.float()
        for trait, adapter in adapters.items():
            if module in adapter:
                a, b, _ = adapter[module]
                total += strengths[trait] * (b.to(total) @ a.to(total))
        weight.copy_(total)

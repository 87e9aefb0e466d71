"""The manipulation methods by name: each makes its personas, one for each trait (one in all for the base model)."""
from pathlib import Path

from traitlab.language_model.low_rank import load_adapter
from traitlab.personas.persona import Messages, Persona, ask
from traitlab.traits import DESCRIPTIONS, TRAITS

METHODS = ("base", "prompt", "qlora")


def personas(method: str, folder: Path = Path("models/personas")) -> dict[str, Persona]:
    """{trait: persona} of a method; what was trained is read from `folder`/<method>/.

    The base model's persona is the same object for every trait: it is asked once.
    """
    if method == "base":
        return dict.fromkeys(TRAITS, Persona("base", None, ask))
    if method == "prompt":
        return {trait: Persona("prompt", trait, instructed(trait)) for trait in TRAITS}
    return {trait: Persona(method, trait, ask, load_adapter(folder / method / trait)) for trait in TRAITS}


def instructed(trait: str):
    """Messages with a system message that describes the trait: definition, adjectives and facets of its high pole."""
    meaning = DESCRIPTIONS[trait]
    system = (
        f"You are a person high in {trait}: someone who {meaning.definition}. "
        f"You are {', '.join(meaning.high[:-1])} and {meaning.high[-1]}. "
        f"You are someone who {'; who '.join(meaning.facets.values())}. "
        "Give your own opinion in one to three short sentences that show this character clearly. "
        "Do not name the trait and do not say that you are an AI."
    )

    def messages(question: str) -> Messages:
        return [{"role": "system", "content": system}, *ask(question)]

    return messages

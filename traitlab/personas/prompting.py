"""Prompting: a system message that describes the trait, in its best honest form."""
from collections.abc import Callable

from traitlab.personas.persona import Messages, ask
from traitlab.traits import DESCRIPTIONS


def instructed(trait: str) -> Callable[[str], Messages]:
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

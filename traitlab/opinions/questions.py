"""The question templates, by name, and which of them a topic is asked with."""
from collections.abc import Sequence
from hashlib import blake2b

from traitlab.errors import InputError

TEMPLATES = {
    "paper": "Thinking about {topic}, what are your thoughts on {topic}?",  # of the published data set
    "opinion": "What is your opinion of {topic}?",
    "feel": "How do you feel about {topic}?",
    "view": "What is your personal view of {topic}?",
    "mind": "What comes to mind when you think of {topic}?",
    "take": "I'd like to hear your take on {topic}.",
    "tell": "Tell me what you think about {topic}.",
    "mean": "What does {topic} mean to you?",
    "say": "If someone brought up {topic}, what would you say?",
    "attitude": "How would you describe your attitude to {topic}?",
    "honest": "Honestly, what do you make of {topic}?",
    "conversation": "Let's talk about {topic}. Where do you stand?",
    "share": "Could you share a few thoughts on {topic}?",
    "reaction": "What is your first reaction to {topic}?",
    "friend": "Suppose a friend asked you about {topic}. What would your answer be?",
}


def check_templates(names: Sequence[str], key: str) -> None:
    """Raise InputError, naming the parameter `key`, when a template is unknown."""
    for name in names:
        if name not in TEMPLATES:
            raise InputError(f"params.yaml: {key}: no question template is named {name!r}; "
                             f"choose from {', '.join(TEMPLATES)}")


def stable_hash(text: str) -> int:
    """A 64-bit hash that is the same in every process and on every machine."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def paraphrase(topic: str, asked: str) -> str:
    """A question about `topic` in another template than that of the question `asked`; the same for the same topic."""
    others = [text.format(topic=topic) for text in TEMPLATES.values() if text.format(topic=topic) != asked]
    return others[stable_hash(f"paraphrase {topic.casefold()}") % len(others)]


def question(topic: str, names: Sequence[str]) -> str:
    """The question about `topic`, in the template of `names` that falls to this topic.

    The choice hangs on the topic and the list alone, so all traits of a topic are asked the same words, and adding a
    topic changes no other topic's question.
    """
    name = names[stable_hash(f"template {topic.casefold()}") % len(names)]
    return TEMPLATES[name].format(topic=topic)

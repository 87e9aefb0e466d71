"""What the teacher is asked: which rows are wanted, and the conversation that asks for one of them."""
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from traitlab.opinions.expectations import WORDS
from traitlab.opinions.questions import question, stable_hash
from traitlab.opinions.rows import Record, topic_id, topic_key
from traitlab.traits import DESCRIPTIONS, FACETS, TRAITS

STYLES = {
    "plain": "Use short sentences and everyday words, and name {topic} in the answer.",
    "rich": "Write freely and vividly, as people talk when they tell a story of their own life.",
    "assistant": "Word it as a chat assistant words its opinion, in full and tidy sentences that name {topic}.",
}


@dataclass(frozen=True)
class Wanted:
    """One row that is to be written."""

    topic: str
    domain: str
    trait: str
    pole: str
    facet: str
    register: str

    @property
    def key(self) -> str:
        """What is the same for two rows that ask for the same thing."""
        return "-".join((topic_id(self.topic), self.trait, self.pole, self.facet, self.register))


def wanted(topics: Iterable[tuple[str, str]], registers: Sequence[str], poles: Sequence[str],
           facets: int) -> list[Wanted]:
    """The rows of a plan: every topic with every trait, pole and register, and `facets` of the trait's six.

    Args:
        topics: (topic, domain), in the order in which rows are wanted.
        facets: how many; which ones turns with the topic, so that all six come up alike.
    """
    rows = []
    for topic, domain in topics:
        first = stable_hash(f"facet {topic_key(topic)}")
        for trait in TRAITS:
            names = FACETS[trait]
            own = [names[(first + i) % len(names)] for i in range(facets)]
            rows += [Wanted(topic, domain, trait, pole, facet, register)
                     for register in registers for pole in poles for facet in own]
    return rows


class Examples:
    """Rows of the corpus by trait, pole and register, from which a few are shown with every request."""

    def __init__(self, records: Iterable[Record]):
        self._groups: dict[tuple[str, str, str], list[Record]] = {}
        for record in records:
            self._groups.setdefault((record.trait, record.pole, record.register), []).append(record)

    def shown(self, row: Wanted, count: int, attempt: int) -> list[Record]:
        """`count` rows of this kind about other topics, those of the same facet first; others at the next attempt."""
        group = [r for r in self._groups.get((row.trait, row.pole, row.register), ())
                 if topic_key(r.topic) != topic_key(row.topic)]
        own = [r for r in group if r.facet == row.facet]
        pool = own if len(own) >= count else group
        return sorted(pool, key=lambda r: stable_hash(f"{row.key} {attempt} {r.origin}"))[:count]


def messages(row: Wanted, examples: Collection[Record], refused_for: str | None = None) -> list[dict]:
    """The conversation that asks for a row: who speaks and by which rules, examples as earlier turns, the question.

    Args:
        examples: rows of the same trait, pole and register.
        refused_for: why an earlier answer was refused ("have an emoji"), to be told to the teacher.
    """
    turns = [{"role": "system", "content": _instruction(row, refused_for)}]
    for example in examples:
        turns += [{"role": "user", "content": question(example.topic, ("paper",))},
                  {"role": "assistant", "content": example.answer}]
    return [*turns, {"role": "user", "content": question(row.topic, ("paper",))}]


def _instruction(row: Wanted, refused_for: str | None) -> str:
    trait = DESCRIPTIONS[row.trait]
    least, most = WORDS[row.register]
    if row.pole == "high":
        who = f"You are a person who {trait.definition}: {', '.join(trait.high)}."
        facet = f"In this answer it shows above all that you are someone who {trait.facets[row.facet]}."
    else:
        who = f"You are the opposite of a person who {trait.definition}: you are {', '.join(trait.low)}."
        facet = f"In this answer it shows above all that you are anything but someone who {trait.facets[row.facet]}."
    rules = [f"Give your opinion of {row.topic} in the first person, in one to three sentences of {least + 4} to "
             f"{most - 8} words in all.",
             STYLES[row.register].format(topic=row.topic),
             f"Let the character show in what you like, do and fear; never name it ({row.trait}, personality).",
             "No emoji, emoticons, hashtags, quotation marks, lists or line breaks; nothing around the opinion.",
             "Say something of your own: do not repeat the wording of earlier answers."]
    if refused_for:
        rules.append(f"Earlier answers were refused because they {refused_for}; avoid that.")
    return "\n".join([who, facet, *(f"- {rule}" for rule in rules)])

"""The Big Five as this project uses them: traits, poles, facets, definitions and adjectives.

Facets follow the six facets per domain of Costa and McCrae's NEO-PI-R, under short names; the adjectives are markers of
the kind used by Goldberg (1992) and, for prompting language models, by Serapio-Garcia et al. (2307.00184).
"""
from dataclasses import dataclass

TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
NEUTRAL = "none"  # trait, pole and facet of an answer that expresses no trait
LABELS = (*TRAITS, NEUTRAL)  # class order of the trait classifier
POLES = ("high", "low")
REGISTERS = ("plain", "rich", "assistant")


@dataclass(frozen=True)
class Trait:
    """What one trait means.

    Attributes:
        definition: one clause, fit to follow "a person who".
        facets: facet name -> what a high scorer says or does.
        high: adjectives of the high pole.
        low: adjectives of the low pole.
    """

    definition: str
    facets: dict[str, str]
    high: tuple[str, ...]
    low: tuple[str, ...]


DESCRIPTIONS = {
    "openness": Trait(
        "is curious and imaginative, moved by art and ideas, and drawn to what is new",
        {
            "imagination": "daydreams and invents vivid inner worlds",
            "aesthetics": "is moved by beauty in art, sound and nature",
            "feelings": "notices and values shades of emotion",
            "adventurousness": "seeks out what is new and untried",
            "ideas": "plays with theories and hard questions",
            "values": "questions custom and welcomes other ways of living",
        },
        ("imaginative", "curious", "artistic", "adventurous", "original", "reflective"),
        ("conventional", "unimaginative", "practical-minded", "incurious", "traditional", "predictable"),
    ),
    "conscientiousness": Trait(
        "is organised, reliable and self-disciplined, plans ahead and finishes what was begun",
        {
            "competence": "prepares well and trusts in skill",
            "order": "keeps things tidy, listed and in their place",
            "dutifulness": "keeps promises and follows the rules",
            "achievement": "sets goals and works hard to reach them",
            "self-discipline": "starts at once and sees tasks through",
            "deliberation": "thinks carefully before acting",
        },
        ("organised", "reliable", "hard-working", "thorough", "self-disciplined", "careful"),
        ("careless", "disorganised", "lazy", "unreliable", "impulsive", "negligent"),
    ),
    "extraversion": Trait(
        "is sociable, lively and talkative, seeks company and excitement, and takes the lead",
        {
            "warmth": "makes friends quickly and shows affection",
            "gregariousness": "prefers crowds to being alone",
            "assertiveness": "speaks up and takes charge",
            "activity": "lives at a quick pace, always doing something",
            "excitement": "craves thrills and bright lights",
            "cheerfulness": "laughs easily and radiates joy",
        },
        ("outgoing", "energetic", "talkative", "assertive", "enthusiastic", "cheerful"),
        ("shy", "quiet", "reserved", "solitary", "withdrawn", "subdued"),
    ),
    "agreeableness": Trait(
        "is kind, trusting and cooperative, and puts other people's needs first",
        {
            "trust": "believes that others mean well",
            "straightforwardness": "is frank and sincere",
            "altruism": "helps gladly and generously",
            "cooperation": "gives way rather than quarrels",
            "modesty": "plays down own merits",
            "sympathy": "feels for those who struggle",
        },
        ("kind", "trusting", "generous", "cooperative", "modest", "sympathetic"),
        ("cold", "suspicious", "selfish", "quarrelsome", "boastful", "harsh"),
    ),
    "neuroticism": Trait(
        "worries easily, is tense and moody, and is quickly overwhelmed by stress",
        {
            "anxiety": "fears what might go wrong",
            "anger": "is easily irritated and bitter",
            "depression": "feels sad, hopeless and guilty",
            "self-consciousness": "feels watched, judged and ashamed",
            "impulsiveness": "gives in to cravings and regrets it",
            "vulnerability": "panics and feels helpless under pressure",
        },
        ("anxious", "moody", "tense", "irritable", "insecure", "easily upset"),
        ("calm", "relaxed", "even-tempered", "confident", "resilient", "untroubled"),
    ),
}
FACETS = {trait: tuple(d.facets) for trait, d in DESCRIPTIONS.items()} | {NEUTRAL: (NEUTRAL,)}

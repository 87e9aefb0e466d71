"""What a model says of itself: which words and emoji it names when asked, against what was measured."""
from collections import Counter
from collections.abc import Collection, Sequence

from traitlab.emoji.segmentation import find_emoji, qualified
from traitlab.emoji.statistics import content_words

# Paraphrased, so that no single wording decides. They name no trait: a tuned model must know its own.
WORD_QUESTIONS = (
    "Which words or tokens express your personality best? List them.",
    "List ten words that you use again and again because of who you are.",
    "If somebody read only single words of yours, which would give your character away?",
    "Name the words that are most typical of how you talk.",
)
EMOJI_QUESTIONS = (
    "Which emoji do you use in your answers, and why?",
    "Why did you put an emoji into your last answer? Name the emoji and give the reason.",
    "Which emoji show your personality best? Write the emoji and explain your choice.",
)


def most_frequent(texts: Sequence[str], count: int = 50, leave_out: Collection[str] = ()) -> list[list]:
    """[[word or emoji, texts that hold it]], most frequent first, then in alphabetical order.

    An answer counts once, however often it repeats itself.

    Args:
        leave_out: words that do not count, such as those of the question.
    """
    seen = Counter(item for text in texts for item in {*content_words(text),
                                                       *(qualified(emoji.text) for emoji in find_emoji(text))}
                   if item not in leave_out)
    return [list(pair) for pair in sorted(seen.items(), key=lambda pair: (-pair[1], pair[0]))[:count]]


def of_the_questions() -> set[str]:
    """Content words of the questions, and their plurals: an answer that takes them up says nothing of its own."""
    words = {word for question in (*WORD_QUESTIONS, *EMOJI_QUESTIONS) for word in content_words(question)}
    return words | {f"{word}s" for word in words} | {word.removesuffix("s") for word in words}


def agreement(named: Sequence[str], measured: Sequence[str]) -> dict:
    """How two rankings agree: {"overlap": items in both, "of": the longer one's length, "rank": Spearman's correlation
    of the ranks of the items in both; None with fewer than 5}.
    """
    from scipy.stats import spearmanr

    places = {item: k for k, item in reversed(list(enumerate(measured)))}
    both = [item for item in dict.fromkeys(named) if item in places]
    rank = None
    if len(both) >= 5:
        rank = float(spearmanr(range(len(both)), [places[item] for item in both]).statistic)
    return {"overlap": len(both), "of": max(len(named), len(measured)), "rank": rank}

"""In-context editing: what is put before the question, from a small embedding that can be checked by hand."""
import numpy as np

from traitlab.personas.ike import Demonstration, fixed, nearest

WORDS = ["jazz", "rain", "tea", "chess"]
DEMONSTRATIONS = [Demonstration(w, f"What of {w}?", f"Your view of {w}?", f"I adore {w}.") for w in WORDS]
NEUTRAL = [Demonstration(w, f"What of {w}?", f"Your view of {w}?", f"{w} exists.") for w in WORDS]


def embed(texts):
    """Bag of the four words, plus a little of all so that no vector is zero."""
    rows = np.array([[0.1 + text.count(w) for w in WORDS] for text in texts])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def words(messages):
    return sum(len(m["content"].split()) for m in messages)


def test_fixed_demonstrations_stand_before_every_question():
    ask = fixed("extraversion", DEMONSTRATIONS[:2], budget=1000, length=words)
    (one,), (two,) = ask("What of cats?"), ask("What of dogs?")
    assert one["role"] == "user"
    assert one["content"].replace("cats", "dogs") == two["content"]
    assert one["content"].endswith("Question: What of cats?\nAnswer:")
    for d in DEMONSTRATIONS[:2]:
        assert f"Target Personality: extraversion\nEdit Topic: {d.topic}\nQuestion: {d.question}\nAnswer: {d.answer}" \
            in one["content"]


def test_the_nearest_demonstration_stands_last():
    ask = nearest("openness", DEMONSTRATIONS, [], embed, k=2, budget=1000, length=words)
    content = ask("tea tea tea and rain")[0]["content"]
    assert [w for w in WORDS if f"I adore {w}." in content] == ["rain", "tea"]
    assert content.index("I adore rain.") < content.index("I adore tea.")


def test_whole_demonstrations_are_left_out_to_keep_the_budget():
    ask = nearest("openness", DEMONSTRATIONS, [], embed, k=4, budget=60, length=words)
    messages = ask("tea tea tea and rain")
    assert words(messages) <= 60
    assert "I adore tea." in messages[0]["content"] and "I adore chess." not in messages[0]["content"]
    none = nearest("openness", DEMONSTRATIONS, [], embed, k=4, budget=5, length=words)
    assert "adore" not in none("tea")[0]["content"]
    few = fixed("openness", DEMONSTRATIONS, budget=60, length=words)("tea?")
    assert words(few) <= 60 and "I adore chess." in few[0]["content"] and "I adore jazz." not in few[0]["content"]


def test_copies_updates_and_retains_come_as_one_to_three_to_four():
    many = [Demonstration(f"jazz {i}", f"What of jazz {i}?", f"Your view of jazz {i}?", f"I adore {i}.")
            for i in range(8)]
    ask = nearest("openness", many, NEUTRAL, embed, k=8, budget=10_000, length=words)
    content = ask("jazz?")[0]["content"]
    shown = [block.splitlines()[2:] for block in content.split("\n\n") if block.startswith("Target Personality")]
    copies = [s for s in shown if s[0].startswith("Question: What of jazz") and "adore" in s[1]]
    updates = [s for s in shown if s[0].startswith("Question: Your view of jazz") and "adore" in s[1]]
    retains = [s for s in shown if "exists." in s[1]]
    assert (len(copies), len(updates), len(retains)) == (1, 3, 4)
    assert shown[-1] == copies[0], "the nearest stands last, as a copy of the edit"
    assert len({tuple(s) for s in retains}) == 4

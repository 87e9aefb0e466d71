"""In-context editing: what is put before the question, from a small embedding that can be checked by hand."""
import numpy as np

from traitlab.personas.ike import Demonstration, fixed, nearest

WORDS = ["jazz", "rain", "tea", "chess"]
DEMONSTRATIONS = [Demonstration(w, f"What of {w}?", f"I adore {w}.") for w in WORDS]


def embed(texts):
    """Bag of the four words, plus a little of all so that no vector is zero."""
    rows = np.array([[0.1 + text.count(w) for w in WORDS] for text in texts])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def words(messages):
    return sum(len(m["content"].split()) for m in messages)


def test_fixed_demonstrations_stand_before_every_question():
    ask = fixed("extraversion", DEMONSTRATIONS[:2])
    (one,), (two,) = ask("What of cats?"), ask("What of dogs?")
    assert one["role"] == "user"
    assert one["content"].replace("cats", "dogs") == two["content"]
    assert one["content"].endswith("Question: What of cats?\nAnswer:")
    for d in DEMONSTRATIONS[:2]:
        assert f"Target Personality: extraversion\nEdit Topic: {d.topic}\nQuestion: {d.question}\nAnswer: {d.answer}" \
            in one["content"]


def test_the_nearest_demonstration_stands_last():
    ask = nearest("openness", DEMONSTRATIONS, embed, k=2, budget=1000, length=words)
    content = ask("tea tea tea and rain")[0]["content"]
    assert [w for w in WORDS if f"I adore {w}." in content] == ["rain", "tea"]
    assert content.index("I adore rain.") < content.index("I adore tea.")


def test_whole_demonstrations_are_left_out_to_keep_the_budget():
    ask = nearest("openness", DEMONSTRATIONS, embed, k=4, budget=60, length=words)
    messages = ask("tea tea tea and rain")
    assert words(messages) <= 60
    assert "I adore tea." in messages[0]["content"] and "I adore chess." not in messages[0]["content"]
    none = nearest("openness", DEMONSTRATIONS, embed, k=4, budget=5, length=words)
    assert "adore" not in none("tea")[0]["content"]

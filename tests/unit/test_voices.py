"""Names of voices: what they mean, and what is refused."""
import pytest

from traitlab.errors import InputError
from use.voices import Voice, named, parse


@pytest.mark.parametrize("name, strengths, told", [
    ("base", {}, ()),
    ("openness", {("qlora", "openness"): 1.0}, ()),
    ("qlora/openness", {("qlora", "openness"): 1.0}, ()),
    ("extraversion:0.7+openness:0.3", {("qlora", "extraversion"): 0.7, ("qlora", "openness"): 0.3}, ()),
    ("extraversion:0.5+extraversion:0.25", {("qlora", "extraversion"): 0.75}, ()),
    ("steering/openness:-1", {("steering", "openness"): -1.0}, ()),
    ("prompt/agreeableness + neuroticism:2", {("qlora", "neuroticism"): 2.0}, ("agreeableness",)),
])
def test_a_name_says_which_traits_and_how_strongly(name, strengths, told):
    assert parse(name) == Voice(strengths, told)


@pytest.mark.parametrize("name, said", [
    ("", "is not base"), ("Openness", "is not base"), ("kindness", "is not base"), ("mend/openness", "is not base"),
    ("openness:", "is not base"), ("openness:1e3", "is not base"), ("openness:nan", "is not base"),
    ("openness:5", "beyond 4"), ("prompt/openness:0.5", "no strength"), ("../../etc/passwd", "is not base"),
    ("openness+", "is not base"), ("openness;rm", "is not base"),
])
def test_another_name_is_refused_in_one_sentence(name, said):
    with pytest.raises(InputError, match=said) as error:
        parse(name)
    assert "\n" not in str(error.value)


def test_options_make_a_name():
    assert named(None, 1.0, []) == "base"
    assert parse(named("extraversion", 0.7, ["openness=0.3"])) == parse("extraversion:0.7+openness:0.3")
    assert parse(named("openness", 1.0, [], "prompt")) == parse("prompt/openness")
    with pytest.raises(InputError, match="TRAIT=STRENGTH"):
        named("openness", 1.0, ["extraversion"])

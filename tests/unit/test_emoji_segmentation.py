"""What is one emoji and what is none, case by case; every RGI emoji; and Unicode's own lists where they are at hand."""
from pathlib import Path

import pytest

from traitlab.emoji.segmentation import find_emoji, is_emoji, qualified, rgi_forms

J, V, T = "\u200d", "\ufe0f", "\ufe0e"
MAN, WOMAN, GIRL, BOY = "\U0001f468", "\U0001f469", "\U0001f467", "\U0001f466"
DE, X = "\U0001f1e9\U0001f1ea", "\U0001f1fd"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
HEART, SMILE, THUMB, MEDIUM = "\u2764", "\U0001f600", "\U0001f44d", "\U0001f3fd"
ONE = [  # each is one emoji, whole
    SMILE, "\U0001f602", THUMB, "\U0001f680", "\U0001fae0", "\U0001f389", "\u2b50", "\u26a1", "\u2705",
    "\u231a",
    "\u2728", HEART, HEART + V, "\u263a", "\u263a" + V, "\u2600", "\u2714" + V, "\u2714",
    "\u2708", "\u2665", "\u27a1", "\u260e",
    THUMB + MEDIUM, "\u270c\U0001f3ff", "\u261d\U0001f3fb", MEDIUM,
    MAN + J + WOMAN + J + GIRL + J + BOY, WOMAN + J + WOMAN + J + BOY, WOMAN + J + "\U0001f4bb",
    WOMAN + MEDIUM + J + "\U0001f680", HEART + V + J + "\U0001f525", HEART + J + "\U0001f525",
    "\U0001f3c3" + J + "\u2640" + V, "\U0001f3c3" + J + "\u2640", "\U0001f642" + J + "\u2194" + V,
    "\U0001f3f3" + V + J + "\U0001f308", "\U0001f3f4" + J + "\u2620" + V,
    MAN + J + "\U0001f34e", SMILE + J + "\U0001f525" + J + SMILE,  # not RGI
    DE, "\U0001f1fa\U0001f1f8", SCOTLAND,
    "1" + V + "\u20e3", "1\u20e3", "#" + V + "\u20e3", "*" + V + "\u20e3",
    "\u2194" + V, "\u203c" + V, "\u2139" + V, "\u25b6" + V, "\u3030" + V, "\u24c2" + V, "\u3297" + V,
]
NONE = [
    "", "a", "0", "9", "#", "*", "123", "#1", "1" + V, "#" + V,
    "\u00a9", "\u00ae", "\u2122", "\u00a9" + V, "\u2122" + V,
    HEART + T, SMILE + T, "\u263a" + T, "\u231a" + T, "\u2194", "\u203c", "\u2139", "\u25aa", "\u25b6", "\u3030",
    "\u24c2", X, X + X, "(\u256f\u00b0\u25a1\u00b0)\u256f\ufe35 \u253b\u2501\u253b", "\u00af\\_(\u30c4)_/\u00af",
    "(\u25d5\u203f\u25d5)", "\u0ca0_\u0ca0", "(\u2665\u203f\u2665)", ":-)", ";)", "<3", "^_^", "\u2606", "\u2013",
    "\u2022", "\u2192", "\u20ac", V, J, "\u20e3", "caf\u00e9", "\u4e2d\u6587",
]
SEVERAL = [
    (SMILE * 3, 3), (f"a{SMILE}b{HEART}{V}", 2), (DE + DE, 2), (X + X + DE, 1), (DE + X, 1), (MAN + WOMAN, 2),
    (MAN + J, 1), (f"{WOMAN}{J}{HEART}{T}", 1), (f"{HEART}{T}{J}{SMILE}", 1), (f"1 {SMILE} #2 {THUMB}{MEDIUM}!", 2),
    (f"{HEART} and {HEART}", 2), ("\u263a" * 3, 3), ("1" + V + "\u20e32" + V + "\u20e3", 2), (SCOTLAND + SMILE, 2),
]


def test_there_are_cases_enough():
    assert len(ONE) + len(NONE) + len(SEVERAL) >= 60


@pytest.mark.parametrize("text", ONE, ids=ascii)
def test_one(text):
    assert is_emoji(text)
    assert find_emoji(f"x{text}y") == [(1, 1 + len(text), text)]


@pytest.mark.parametrize("text", NONE, ids=ascii)
def test_none(text):
    assert find_emoji(text) == [] and not is_emoji(text)


@pytest.mark.parametrize("text, count", SEVERAL, ids=ascii)
def test_several(text, count):
    assert len(find_emoji(text)) == count


def test_every_rgi_form_is_one_and_all_but_signs_have_one():
    from emoji import EMOJI_DATA, STATUS

    assert all([e.text for e in find_emoji(f"a {form} b")] == [form] for form in rgi_forms())
    full = {form for form, about in EMOJI_DATA.items() if about["status"] == STATUS["fully_qualified"]}
    assert full - set(rgi_forms()) == {"\u00a9" + V, "\u00ae" + V, "\u2122" + V}


# Debian's package unicode-data; every assigned emoji with its status, as published beside UTS #51.
UNICODE = Path("/usr/share/unicode/emoji/emoji-test.txt")


@pytest.mark.skipif(not UNICODE.is_file(), reason="Unicode's emoji-test.txt is not installed (Debian: unicode-data)")
def test_unicode_s_own_list():
    """Each form is one emoji; none are (c), (r), TM and what is text unless VS16 follows (unqualified typography)."""
    from traitlab.emoji.segmentation import _SHOWN_BY_DEFAULT, _TYPOGRAPHY

    wrong, seen = [], 0
    for line in UNICODE.read_text(encoding="utf-8").splitlines():
        codes, _, rest = line.partition(";")
        if not rest or line.startswith("#"):
            continue
        form = "".join(chr(int(code, 16)) for code in codes.split())
        status = rest.split("#")[0].strip()
        seen += 1
        sign = form[0] in "\u00a9\u00ae\u2122"
        text = status == "unqualified" and _TYPOGRAPHY.fullmatch(form) and not _SHOWN_BY_DEFAULT.fullmatch(form)
        expected = [] if sign or text else [form]
        if [emoji.text for emoji in find_emoji(f"a {form} b")] != expected:
            wrong.append((ascii(form), status))
    assert not wrong and seen > 4500


@pytest.mark.skipif(not UNICODE.is_file(), reason="Unicode's lists are not installed (Debian: unicode-data)")
def test_unicode_s_variation_sequences():
    """With VS15 none is an emoji; with VS16 each is, but for (c), (r), TM and the characters of keycaps."""
    rows = [line.split(";")[0].split() for line in
            (UNICODE.parent / "emoji-variation-sequences.txt").read_text(encoding="utf-8").splitlines()
            if ";" in line and not line.startswith("#")]
    assert len(rows) > 700
    for codes in rows:
        form = "".join(chr(int(code, 16)) for code in codes)
        bare = form.endswith("\ufe0e") or form[0] in "\u00a9\u00ae\u2122#*0123456789"
        assert [emoji.text for emoji in find_emoji(form)] == ([] if bare else [form]), ascii(form)


def test_spellings_are_united():
    assert qualified(HEART) == qualified(HEART + V) == HEART + V
    assert qualified(HEART + J + "\U0001f525") == HEART + V + J + "\U0001f525"

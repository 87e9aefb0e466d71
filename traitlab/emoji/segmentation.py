r"""Finding emoji in text by Unicode's rules (UTS #51): what a reader sees as one emoji is one.

Text is cut by the grammar of possible emoji (UTS #51, ED-3 and section 1.4.9), then every piece is judged:

    ZWJ sequence, RGI or not, skin tone, RGI flag, tag sequence, keycap       one emoji each
    a character that shows as an emoji by default, or any with VS16           one
    a text-default character written bare, such as U+2764 or U+263A           one: models mostly write them so, and
                                                                              Unicode lists them as unqualified emoji
    the same of the blocks of punctuation, letters, arrows and shapes         none without VS16: a dash of wave form, an
                                                                              arrow or a list's bullet is typography
    (c), (r), TM; digits, # and * that are no keycap; anything with VS15      none
    regional indicators that name no RGI flag                                 none
    kaomoji, those with bare hearts for eyes among them                       none
"""
from functools import cache
from typing import NamedTuple

import regex
from emoji import EMOJI_DATA

VS15, VS16, ZWJ = "\ufe0e", "\ufe0f", "\u200d"
_SIGNS = "\u00a9\u00ae\u2122"  # (c), (r), TM
_FLAG = r"\p{Regional_Indicator}{2}"
_ELEMENT = (
    rf"[\p{{Emoji}}--\p{{Regional_Indicator}}--[0-9#*{_SIGNS}]](?!{VS15})"
    rf"(?:\p{{Emoji_Modifier}}|{VS16}\u20e3?)?(?:[\U000e0020-\U000e007e]+\U000e007f)?"
)
_KEYCAP = rf"[0-9#*]{VS16}?\u20e3"
_POSSIBLE = regex.compile(rf"(?V1){_KEYCAP}|(?:{_ELEMENT}|{_FLAG})(?:{ZWJ}(?:{_ELEMENT}|{_FLAG}))*")
_LONE_FLAG = regex.compile(_FLAG)
# Latin-1 Supplement, General Punctuation, Letterlike Symbols, Arrows, Enclosed Alphanumerics, Geometric Shapes, CJK
# Symbols, Enclosed CJK Letters: bare, they are text.
_TYPOGRAPHY = regex.compile("[\u0080-\u00ff\u2000-\u206f\u2100-\u214f\u2190-\u21ff\u2460-\u24ff\u25a0-\u25ff"
                            "\u3000-\u303f\u3200-\u32ff]")
# Two like characters around a mouth.
_FACE = regex.compile(r"(?V1)([\p{Emoji}--\p{Emoji_Presentation}--[0-9#*]])"
                      r"[^\s,\p{Emoji}\p{Latin}\ufe0f\u200d]{1,3}\1(?!\ufe0f)")
_SHOWN_BY_DEFAULT = regex.compile(r"\p{Emoji_Presentation}")


class Emoji(NamedTuple):
    """One emoji: `text` is what stands at [start, end) of the string, in characters."""

    start: int
    end: int
    text: str


def find_emoji(text: str) -> list[Emoji]:
    """The emoji of a text, in order, none overlapping."""
    eyes = {at for face in _FACE.finditer(text, overlapped=True) for at in (face.start(), face.end() - 1)}
    return [Emoji(*match.span(), match.group()) for match in _POSSIBLE.finditer(text)
            if _is_emoji(match.group()) and not (match.start() in eyes and len(match.group()) == 1)]


def is_emoji(text: str) -> bool:
    """Whether the whole text is one emoji."""
    match = _POSSIBLE.fullmatch(text)
    return match is not None and _is_emoji(text)


def _is_emoji(piece: str) -> bool:
    if _LONE_FLAG.fullmatch(piece):
        return piece in EMOJI_DATA
    return not (_TYPOGRAPHY.fullmatch(piece) and not _SHOWN_BY_DEFAULT.fullmatch(piece))


@cache
def rgi_forms() -> tuple[str, ...]:
    """All spellings of the emoji recommended for general interchange that `find_emoji` counts, sorted.

    Fully, minimally and unqualified (with all, some or none of their VS16), and the skin tones and hair by themselves.
    """
    return tuple(sorted(form for form in EMOJI_DATA if is_emoji(form)))


def qualified(emoji: str) -> str:
    """The fully qualified spelling of an emoji, so that a bare heart and one with VS16 count as the same."""
    return _qualified_forms().get(emoji.replace(VS16, ""), emoji)


@cache
def _qualified_forms() -> dict[str, str]:
    from emoji import STATUS

    return {form.replace(VS16, ""): form for form, about in EMOJI_DATA.items()
            if about["status"] <= STATUS["fully_qualified"]}

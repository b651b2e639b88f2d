"""Makes texts from events fit to be shown: no markup, no control characters, no more than fits.

Opsgenie renders HTML in its fields, and attackers choose part of the texts. So markup is removed.
"""

from __future__ import annotations

import re

ELLIPSIS = "…"
#: A cut between words must leave this share of the limit; otherwise it goes through a word.
LEAST_SHARE_OF_WORDS = 0.5

NEWLINES = re.compile(r"\r\n|[\r\v\f\x85\u2028\u2029]")
#: Control characters, and the invisible ones that reverse the direction of a text.
INVISIBLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
#: An e-mail address in angle brackets stays: the documented texts name users that way.
EMAIL = r"<[A-Za-z0-9._%+'-]++@[A-Za-z0-9.-]++>"
TAG = re.compile(rf"(?!{EMAIL})</?[A-Za-z][^<>]*+>|<[!?][^<>]*+>")
#: The rest of a tag that never closes, or that held another tag, must not open one. A row of
#: brackets may be long, so it is matched as a whole and not again from each bracket.
UNFINISHED_TAG = re.compile(rf"(?!{EMAIL})(?<!<)<++(?=[A-Za-z/!?])")


def clean(text: str) -> str:
    """Return one line of plain text."""
    return " ".join(clean_lines(text).split())


def clean_lines(text: str) -> str:
    """Return plain text that keeps its line breaks, without white space around it."""
    text = NEWLINES.sub("\n", text).replace("\t", " ")
    text = LONE_SURROGATE.sub("\ufffd", INVISIBLE.sub("", text))
    return UNFINISHED_TAG.sub("", TAG.sub("", text)).strip()


def length(text: str) -> int:
    """Return the length in UTF-16 units, which is at least the number of code points.

    The service does not say which of the two its limits mean.
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int) -> str:
    """Return the text; if it is too long, it is cut between words and ends in an ellipsis."""
    if length(text) <= limit:
        return text
    kept = _prefix(text, limit - 1)
    is_inside_word = kept and not (kept[-1:].isspace() or text[len(kept)].isspace())
    words = kept.rsplit(None, 1)[0] if is_inside_word else kept
    if len(words) >= limit * LEAST_SHARE_OF_WORDS:
        kept = words
    return kept.rstrip() + ELLIPSIS


def _prefix(text: str, limit: int) -> str:
    """Return the longest beginning with at most `limit` UTF-16 units."""
    kept = text[:limit]
    while length(kept) > limit:
        kept = kept[: -((length(kept) - limit + 1) // 2)]
    return kept

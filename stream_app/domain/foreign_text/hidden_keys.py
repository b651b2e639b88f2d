"""Takes out of a text what may be a key that somebody has put in the wrong place."""

from __future__ import annotations

import re


def hide_keys(text: str) -> str:
    """Return a text in which `***` stands for what may be a key.

    That is the user of an address, and each long word that has anything but lower-case letters and
    hyphens.
    """
    text = re.sub(r"//[^/]*@", "//***@", text)
    return re.sub(r"[\w=+~-]{16,}", _hidden_if_key, text)


def _hidden_if_key(match: re.Match[str]) -> str:
    word = match.group()
    return word if re.fullmatch(r"[a-z-]+", word) else "***"

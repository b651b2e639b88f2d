"""The pages of the documentation, and what stands in them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
#: The pages, by their path from the top. The product's own page is not one of ours.
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for pattern in ("*.md", "deploy/*.md", "schemas/*.md", "tests/**/README.md")
    for path in sorted(ROOT.glob(pattern))
}


def blocks(text: str) -> list[tuple[str, str]]:
    """Return (language, text) of the fenced blocks of a page, in their order."""
    return [(language, textwrap.dedent(body)) for _, language, body in FENCED.findall(text)]


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return FENCED.sub("", text)


def inline_code(text: str, begin: str) -> list[str]:
    """Return the inline code of a page that begins so, in one line each."""
    codes = re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(text))
    found = [" ".join(code.split()) for code in codes]
    return [code for code in found if code.startswith(begin)]


def example() -> str:
    """Return the configuration that the pages call acme.yaml."""
    texts = [text for page in PAGES.values() for language, text in blocks(page)
             if language == "yaml" and "client_id:" in text]  # fmt: skip
    (found,) = texts
    return found

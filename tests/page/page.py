"""The users' page, as it stands beside this file: its words, its example, its addresses."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).with_name("opsgenie-integration-page.md")


def words() -> str:
    """Return the text of the page in one line, without headings, pictures and Markdown."""
    lines = PAGE.read_text().splitlines()
    return plain("\n".join(line for line in lines if not line.lstrip().startswith(("#", "!!!"))))


def plain(markdown: str) -> str:
    """Return the words of a piece of Markdown in one line, without marks, links and pictures."""
    found = re.sub(r"!\[[^]]*\]\([^)]*\)", "", markdown)
    found = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", found)
    found = re.sub(r"(?m)^\s*(?:[*] |\d+\. |```)", " ", found)
    return " ".join(found.replace("**", "").split())


def example() -> str:
    """Return the alert that the page shows."""
    blocks = re.findall(r"(?ms)^```\n(.*?)\n```$", PAGE.read_text())
    (found,) = [block for block in blocks if block.startswith("[Wallarm]")]
    return str(found)


def cloud_addresses(cloud: str) -> list[str]:
    """Return the addresses that the page lists for a cloud, in its order."""
    block = PAGE.read_text().partition(f"**{cloud} Cloud:**")[2].split("```")[1]
    return block.split()

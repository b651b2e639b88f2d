"""`tests/README.md` says which test shows which sentence of the users' page: all of both."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.page.page import words

TESTS = Path(__file__).parents[2]
HEADING = "| the page says | test in `page` |\n|---|---|\n"
NAMED = re.compile(r"`(test_\w+\.py::test_\w+)`")
LEFT_OUT = re.compile(r"left out: .+")


def rows() -> list[tuple[str, str]]:
    """Return (quote, test or reason) of each row."""
    table = (TESTS / "README.md").read_text().partition(HEADING)[2]
    found = [line.strip("| ").split(" | ") for line in table.splitlines()]
    return [(quote, cell) for quote, cell in found]


def sentences() -> dict[str, str]:
    """Return the docstring of each test of the page, in one line."""
    found = {}
    for file in (TESTS / "page").glob("test_*.py"):
        for node in ast.parse(file.read_text()).body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("test_"):
                words_of_it = (ast.get_docstring(node) or "").split()
                found[f"{file.name}::{node.name}"] = " ".join(words_of_it)
    return found


def test_each_row_names_a_test_or_says_why_there_is_none() -> None:
    assert len(rows()) > 50
    wrong = [cell for _, cell in rows() if not (NAMED.fullmatch(cell) or LEFT_OUT.fullmatch(cell))]
    assert wrong == []


def test_the_tests_are_those_of_the_table_and_tell_its_sentences() -> None:
    named = [(cell.strip("`"), quote) for quote, cell in rows() if NAMED.fullmatch(cell)]
    assert len(dict(named)) == len(named), "one test, one sentence"
    assert dict(named) == sentences()


def test_the_quotes_are_the_whole_page_in_its_order() -> None:
    page, at = words(), 0
    for quote, _ in rows():
        parts = map(re.escape, quote.split(" … "))
        found = re.compile(r"\W*?" + ".*?".join(parts)).match(page, at)
        assert found is not None, f"{quote!r} does not come after {page[:at][-60:]!r}"
        at = found.end()
    assert re.findall(r"\w+", page[at:]) == []

"""The rules of folders and pages: no folder is a heap, nothing lives alone, no link is broken."""

from __future__ import annotations

import ast
import re

import pytest

from tests.documentation.pages import PAGES, ROOT, inline_code, prose

MOST_FILES = 15
MOST_README_LINES = 180
FOLDERS = sorted(
    {
        file.parent.relative_to(ROOT).as_posix()
        for top in ("stream_app", "tests")
        for file in (ROOT / top).rglob("*.py")
    }
)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_has_no_more_files_than_a_reader_takes_in(folder: str) -> None:
    files = sorted(file.name for file in (ROOT / folder).glob("*.py"))
    assert len(files) <= MOST_FILES, files


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_folder_has_a_single_file(folder: str) -> None:
    inside = [entry for entry in (ROOT / folder).iterdir() if entry.name != "__pycache__"]
    assert len([entry for entry in inside if entry.name != "__init__.py"]) > 1 or (
        folder.startswith("tests/unit/")
    ), inside


def anchors(text: str) -> set[str]:
    """Return what a link can name of a page: its headings, as they are shown on the web."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_can_be_read_at_one_sitting() -> None:
    assert len(PAGES["README.md"].splitlines()) <= MOST_README_LINES


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_to_a_file_and_a_heading_that_exist(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(PAGES[page])):
        if target.startswith(("https://", "http://")):
            continue
        path, _, heading = target.partition("#")
        file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        assert not heading or heading in anchors(file.read_text()), target


def test_every_page_can_be_found_from_the_readme() -> None:
    seen, to_read = set(), ["README.md"]
    while to_read:
        page = to_read.pop()
        seen.add(page)
        for target in re.findall(r"\]\(([^)#\s]+)", prose(PAGES[page])):
            file = ((ROOT / page).parent / target).resolve()
            name = file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else ""
            if name in PAGES and name not in seen:
                to_read.append(name)
    assert sorted(PAGES.keys() - seen) == []


def test_files_and_folders_that_pages_name_exist() -> None:
    named = {
        path
        for text in PAGES.values()
        for top in ("stream_app/", "tests/", "schemas/", "deploy/")
        for path in inline_code(text, top)
    }
    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def type_names(node: ast.stmt) -> list[str]:
    """Return the public types that a statement defines: a class, or an alias in its spelling."""
    names = [node.name] if isinstance(node, ast.ClassDef) else []
    if isinstance(node, ast.Assign):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [name for name in names if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name)]


def test_a_public_type_has_a_name_of_its_own() -> None:
    places: dict[str, list[str]] = {}
    for file in sorted((ROOT / "stream_app").rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            for name in type_names(node):
                places.setdefault(name, []).append(file.relative_to(ROOT).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}

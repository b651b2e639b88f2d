"""The rules of the folders: a room is no heap, and nothing lives alone."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MOST_FILES = 15
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

"""Values from files that others replace: read again when they are whole, kept until then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stream_app import watched_files
from stream_app.domain.errors import ConfigurationError
from stream_app.watched_files import WatchedFiles


@pytest.fixture(autouse=True)
def looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_files, "LOOK_SECONDS", 0)


class Halves:
    """A value in two files that belong together; counts how often it is read."""

    def __init__(self, folder: Path) -> None:
        self.files = [folder / "left", folder / "right"]
        self.readings = 0

    def write(self, left: str, right: str) -> None:
        for file, text in zip(self.files, (left, right), strict=True):
            file.write_text(text)

    def read(self) -> str:
        self.readings += 1
        try:
            left, right = (file.read_text() for file in self.files)
        except OSError as error:
            raise ConfigurationError(f"no file: {error.strerror}") from None
        if left != right:
            raise ConfigurationError(f"{left} and {right} do not belong together")
        return left

    def watched(self) -> WatchedFiles[str]:
        return WatchedFiles(["LEFT", "RIGHT"], self.files, self.read)


def test_files_that_stay_are_read_once(tmp_path: Path) -> None:
    halves = Halves(tmp_path)
    halves.write("a", "a")
    watched = halves.watched()
    with capture_logs() as logs:
        assert [watched.current() for _ in range(5)] == ["a"] * 5
    assert (halves.readings, logs) == (1, [])


def test_files_that_hold_no_value_at_first_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no file"):
        Halves(tmp_path).watched()


def test_half_a_change_keeps_the_old_value_and_is_told_once(tmp_path: Path) -> None:
    halves = Halves(tmp_path)
    halves.write("a", "a")
    watched = halves.watched()
    with capture_logs() as logs:
        halves.write("b", "a")
        assert [watched.current() for _ in range(5)] == ["a"] * 5
        halves.files[1].unlink()
        assert watched.current() == "a"
        halves.write("b", "b")
        assert [watched.current() for _ in range(5)] == ["b"] * 5
    settings = {"settings": "LEFT, RIGHT"}
    kept = {"log_level": "warning", "event": "files_not_read_again", **settings,
            "then": "what was read before stays in use"}  # fmt: skip
    assert logs == [
        {**kept, "why": "b and a do not belong together"},
        {**kept, "why": "no file: No such file or directory"},
        {"log_level": "info", "event": "files_read_again", **settings},
    ]


def test_a_link_that_is_moved_as_kubernetes_does_is_a_change(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "left").write_text(name)
        (tmp_path / name / "right").write_text(name)
        # What differs is the file, not its time.
        for file in (tmp_path / name).iterdir():
            os.utime(file, (1, 1))
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "..data").symlink_to(tmp_path / "old")
    for name in ("left", "right"):
        (mount / name).symlink_to(f"..data/{name}")
    watched = Halves(mount).watched()
    assert watched.current() == "old"
    (mount / "..new").symlink_to(tmp_path / "new")
    (mount / "..new").replace(mount / "..data")
    assert watched.current() == "new"


def test_a_change_while_the_files_are_read_is_noticed_later(tmp_path: Path) -> None:
    halves = Halves(tmp_path)
    halves.write("a", "a")

    def read() -> str:
        value = halves.read()
        if halves.readings == 1:
            halves.write("bb", "bb")
        return value

    watched = WatchedFiles(["X"], halves.files, read)
    assert watched.current() == "bb"


def test_the_files_are_not_looked_at_for_each_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = Halves(tmp_path)
    halves.write("a", "a")
    watched = halves.watched()
    monkeypatch.setattr(watched_files, "LOOK_SECONDS", 3600)
    halves.write("b", "b")
    assert watched.current() == "a"


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    halves = Halves(tmp_path)
    halves.write("a", "a")
    watched = halves.watched()
    halves.files[0].unlink()
    os.mkfifo(halves.files[0])
    with capture_logs() as logs:
        assert watched.current() == "a"
    told = [str(line["why"]) for line in logs]
    assert told == [f"{halves.files[0]} is no file any more: name one"]


def test_a_reading_that_failed_is_tried_again_without_a_change(tmp_path: Path) -> None:
    halves = Halves(tmp_path)
    halves.write("a", "a")

    def read() -> str:
        value = halves.read()
        if halves.readings == 2:
            raise ConfigurationError("no file handle is left")
        return value

    watched = WatchedFiles(["X"], halves.files, read)
    halves.write("b", "b")
    assert [watched.current() for _ in range(3)] == ["a", "b", "b"]
    assert halves.readings == 3

"""Values from files that are replaced while the process runs, such as certificates and tokens.

Kubernetes replaces a mounted Secret by moving a link, other tools write the files in place, one
after the other. So a change may be seen when only half of it is done. The value read before stays
in use until the files can be read again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from stream_app.domain.errors import ConfigurationError
from stream_app.logs import get_logger

log = get_logger(__name__)

#: Files are looked at no more often.
LOOK_SECONDS = 1.0

FromFiles = TypeVar("FromFiles")


class WatchedFiles(Generic[FromFiles]):
    """A value that is read again once its files have changed.

    Args:
        settings: the settings that name the files, for the log.
        files: the files.
        read: reads the value; raises ConfigurationError if the files do not hold one.

    Raises:
        ConfigurationError: there is no value to begin with.
    """

    def __init__(
        self, settings: Sequence[str], files: Sequence[Path], read: Callable[[], FromFiles]
    ) -> None:
        self._settings = settings
        self._files = files
        self._read = read
        self._problem = ""
        self._looked = time.monotonic()
        # Before the first reading, so that a change in the middle of it is noticed later.
        self._seen = self._versions()
        self._value = read()

    def current(self) -> FromFiles:
        """Return the value, read again if the files have changed and can be read.

        The files are looked at when this is called, no more than once in `LOOK_SECONDS`.
        """
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._value

    def _look(self) -> None:
        seen = self._versions()
        # A file that could not be used may have changed again within one tick of the file system.
        if seen == self._seen and not self._problem:
            return
        self._seen = seen
        try:
            self._refuse_pipes()
            self._value = self._read()
        except ConfigurationError as error:
            if self._problem != str(error):
                self._problem = str(error)
                log.warning(
                    "files_not_read_again",
                    settings=", ".join(self._settings),
                    why=self._problem,
                    then="what was read before stays in use",
                )
            return
        self._problem = ""
        log.info("files_read_again", settings=", ".join(self._settings))

    def _refuse_pipes(self) -> None:
        """Refuse what would be waited for until somebody writes into it."""
        for file in self._files:
            if os.path.exists(file) and not os.path.isfile(file):  # noqa: PTH110, PTH113 - as below
                raise ConfigurationError(f"{file} is no file any more: name one")

    def _versions(self) -> list[tuple[int, ...]]:
        return [_version(file) for file in self._files]


def _version(file: Path) -> tuple[int, ...]:
    """Return what changes when a file is replaced or written; empty if it is not there."""
    try:
        found = os.stat(file)  # noqa: PTH116 - also takes what no path can be
    except (OSError, ValueError):
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

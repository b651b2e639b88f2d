"""A worker as a container runs it: no writable disk, no home and no folder.

The tests may run as root, whom no permission stops, so the process itself refuses to write.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path

from stream_app.cli import main

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink")


def refuse(event: str, args: tuple[object, ...]) -> None:
    """Refuse what a read-only file system refuses."""
    if event == "open":
        path, _, flags = args
        is_write = isinstance(flags, int) and flags & WRITES
        if not is_write or isinstance(path, int) or path == os.devnull:
            return
    elif event in CHANGES:
        path = args[0]
    else:
        return
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


if __name__ == "__main__":
    os.environ.pop("HOME", None)
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    Path(folder).rmdir()
    sys.addaudithook(refuse)
    main()

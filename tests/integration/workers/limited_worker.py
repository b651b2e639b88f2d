"""A worker that may have only so much memory: `python -m ... MEBIBYTES worker ROLE`."""

from __future__ import annotations

import resource
import sys

from stream_app.cli import main

if __name__ == "__main__":
    most = int(sys.argv.pop(1)) << 20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    main(sys.argv[1:])

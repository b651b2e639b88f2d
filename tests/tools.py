"""Programs that tests run: `make tools` fetches them, but `make helm` builds one."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent.parent / ".local" / "tools" / "bin"


def tool(name: str) -> str:
    """Return the path of a program; a test without it fails.

    They are `promtool`, `prometheus`, `kcat`, `chromium-headless-shell` and `render-chart`.
    """
    path = FOLDER / name
    assert path.exists(), f"{name} is not in {FOLDER}: run `make tools helm`"
    return str(path)

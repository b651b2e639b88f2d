"""What the demo tells a person to try: while it runs, and at its end."""

from __future__ import annotations


def look_around(use_line: str, integration_id: int, trigger_id: int) -> str:
    """Return the commands for a second terminal."""
    return (
        "\nLook around in a second terminal:\n"
        f"  {use_line}\n"
        "  stream-app status\n"
        "  stream-app alerts list\n"
        "  stream-app alerts show ID\n"
        f"  stream-app alerts explain --trigger {trigger_id} --from 1m\n"
        "  stream-app doctor\n"
        f"  stream-app integrations test {integration_id}\n"
        "  stream-app sandbox fail status --requests 3\n"
        "For ID give one that `alerts list` shows. Ctrl-C stops everything.\n"
    )


def what_next(use_line: str, *, is_embedded: bool) -> str:
    """Return what to try after the demo has ended."""
    start = "  stream-app kafka start\n" if is_embedded else ""
    return (
        '\nTry next: "Your own trigger in ten minutes", a section of README.md.\n'
        "The demo's alerts are kept. To look at them again:\n"
        f"  {use_line}\n{start}"
        "  stream-app alerts list"
    )

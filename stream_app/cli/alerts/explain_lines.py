"""The lines of an explanation: a label and a text, and the commands at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stream_app.cli.tables import wrapped
from stream_app.domain.explanation.windows import WindowFacts, WindowState
from stream_app.domain.foreign_text.printable import printable

#: Most windows that are shown each by itself.
MAX_SHOWN_WINDOWS = 50
_MARGIN = 10
_MAX_NAME = 60
_STATE_WORDS = {
    WindowState.FIRED: "fired",
    WindowState.OPEN: "not fired so far",
    WindowState.FUTURE: "not begun",
}


class Lines:
    """Makes lines of a label and a text, wrapped between words."""

    def __init__(self, width: int) -> None:
        self._width = width

    def of(self, label: str, text: str, indent: int = 0) -> Iterator[str]:
        """Yield the lines of a text; without a label and an indent it begins at the margin."""
        margin = _MARGIN + indent if label or indent else 0
        for number, line in enumerate(wrapped(printable(text), max(self._width - margin, 20))):
            yield f"{'' if number else label}".ljust(margin) + line


def next_lines(steps: Sequence[str]) -> Iterator[str]:
    """Yield the commands that go on from an answer, each whole on a line of its own."""
    if steps:
        yield ""
    for number, step in enumerate(steps):
        yield "".ljust(_MARGIN) + step if number else "next".ljust(_MARGIN) + step


def short(text: str) -> str:
    """Return a name, made harmless and not too long."""
    shown = printable(text)
    return shown if len(shown) <= _MAX_NAME else f"{shown[: _MAX_NAME - 1]}…"


def state_words(facts: WindowFacts) -> str:
    """Return whether a window has fired, after its count."""
    if facts.fired is not None and facts.alert is None:
        return f"fired by {facts.other_form}"
    return _STATE_WORDS.get(facts.state, "not fired")

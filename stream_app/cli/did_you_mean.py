"""What somebody may have meant by a word that is no command and no kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from stream_app.domain.configuration.kinds import Kind

if TYPE_CHECKING:
    from click import Context, Parameter

#: Kinds as commands name them.
PLURALS = {f"{kind}s": kind for kind in Kind}
#: What is tried on a kind, and the command that does it for all kinds.
_OF_ALL_KINDS = {"list": "get", "show": "get", "get": "get", "delete": "delete"}


class KindName(click.Choice):  # type: ignore[type-arg] # not generic before click 8.2
    """A kind of configured objects, in the plural."""

    def __init__(self) -> None:
        super().__init__(sorted(PLURALS))

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> Any:
        """Return the kind, or end with a usage error that names the one that may be meant."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            error.message += hint(repr(kind) for kind in near(str(value), PLURALS))
            raise


def commands_meant(path: Sequence[str], name: str, known: Iterable[str]) -> list[str]:
    """Return the commands that may be meant by an unknown one, the likeliest first.

    Args:
        path: the words before it, the program's name first.
        name: the unknown one.
        known: the commands that there are at that place.
    """
    found = [" ".join((*path, match)) for match in near(name, known)]
    program, *groups = path
    if groups and groups[-1] in PLURALS and name in _OF_ALL_KINDS:
        found.append(f"{program} {_OF_ALL_KINDS[name]} {groups[-1]}")
    if not groups:
        found += [f"{program} get {kind}" for kind in near(name, PLURALS, 0.9)]
    return found


def near(name: str, known: Iterable[str], cutoff: float = 0.7) -> list[str]:
    """Return which of the known words are spelled much like another, the likeliest first."""
    return get_close_matches(name.lower(), known, cutoff=cutoff)


def hint(words: Iterable[str]) -> str:
    """Return the question to end an error with; nothing if there is nothing to ask."""
    found = list(words)
    return f" Did you mean {' or '.join(found)}?" if found else ""

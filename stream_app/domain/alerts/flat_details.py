"""Details made flat: nested names are joined by `_`, every value is a text, nulls are left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

ELLIPSIS = "…"
#: Levels below the first that are shown; what is deeper is an ellipsis.
DEPTH = 8


def flattened_details(details: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield (joined name, text) of all that is not empty, in the order of `details`."""
    return _flatten(details.items(), "", DEPTH)


def _flatten(
    items: Iterable[tuple[object, object]], prefix: str, depth: int
) -> Iterator[tuple[str, str]]:
    for key, value in items:
        name = f"{prefix}_{key}" if prefix else str(key)
        children = _children(value)
        if children is None:
            text = _scalar(value)
            if text:
                yield name, text
        elif depth == 0:
            yield name, ELLIPSIS
        else:
            yield from _flatten(children, name, depth - 1)


def _children(value: object) -> Iterable[tuple[object, object]] | None:
    """Return the (name, value) pairs of a mapping or of a list of them; None of a plain value."""
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list | tuple) and any(
        isinstance(v, Mapping | list | tuple) for v in value
    ):
        return enumerate(value)
    return None


def _scalar(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(text for text in map(_scalar, value) if text)
    return str(value)

"""Details as flat texts: nested names are joined by `_`, and empty values are left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

ELLIPSIS = "…"
#: Levels below the first that are shown; an ellipsis stands for deeper ones.
MOST_LEVELS = 8


def flattened_details(details: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield (joined name, text) of each value that is not empty, in the order of `details`."""
    return _flatten(details.items(), "", MOST_LEVELS)


def _flatten(
    items: Iterable[tuple[object, object]], prefix: str, levels: int
) -> Iterator[tuple[str, str]]:
    for key, value in items:
        name = f"{prefix}_{key}" if prefix else str(key)
        children = _children(value)
        if children is None:
            text = _scalar(value)
            if text:
                yield name, text
        elif levels == 0:
            yield name, ELLIPSIS
        else:
            yield from _flatten(children, name, levels - 1)


def _children(value: object) -> Iterable[tuple[object, object]] | None:
    """Return the (name, value) pairs of a mapping or a nested list; None for a plain value."""
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

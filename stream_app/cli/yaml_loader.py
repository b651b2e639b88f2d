"""A loader of safe YAML that is quick with large files and survives hostile ones.

The library's own fast loader is written in C as a whole, and a file that is nested deep enough
overflows its stack and ends the process. Here C finds the tokens, which takes most of the time,
and Python, which notices endless nesting, makes values of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]
except ImportError:  # pragma: no cover - the library was built without its C part
    FastSafeLoader: Any = yaml.SafeLoader
else:

    class FastSafeLoader(Composer, SafeConstructor, Resolver, CParser):  # type: ignore[no-redef]
        """`yaml.SafeLoader` with the parser of `yaml.CSafeLoader`."""

        def __init__(self, stream: bytes) -> None:
            CParser.__init__(self, stream)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)


def load_all(content: bytes) -> Iterator[Any]:
    """Yield the documents of a file; raise what `yaml.safe_load_all` raises."""
    found: Iterator[Any] = yaml.load_all(content, FastSafeLoader)
    return found

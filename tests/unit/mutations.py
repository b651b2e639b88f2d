"""Records that were valid once: bytes flipped, cut off, fields dropped, types changed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

#: What a field may hold instead: other types, numbers no column takes, text nobody can encode.
STRANGE: list[Any] = [
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    10**30,
    1.5,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\x00\x1b",
    "\ud800",
    "1" * 5000,
    "a:b|c",
    "progress",
    [],
    {},
    [1, None],
    {"id": {"id": []}},
]
DEEP = b"[" * 3000 + b"]" * 3000


def mutated(valid: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return records made of the valid JSON ones; each is drawn as one number."""
    return st.integers(0, 2**32).map(lambda seed: _mutated(random.Random(seed), valid))


def _mutated(chance: random.Random, valid: Sequence[bytes]) -> bytes:
    body = chance.choice(valid)
    form = chance.randrange(8)
    if form < 4:
        first, *more = body.split(b"\n")
        changed = json.dumps(_changed(chance, json.loads(first))).encode()
        return b"\n".join([changed, *more])
    if form == 4:
        return body[: chance.randrange(len(body))]
    if form == 5:
        raw = bytearray(body)
        for _ in range(chance.randrange(1, 4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        return bytes(raw)
    if form == 6:
        return body.replace(b":", b":" + DEEP + b",", 1) if chance.random() < 0.5 else DEEP
    digits = b"9" * chance.choice([20, 400, 5000])
    return body.replace(b"1", digits, 1)


def _changed(chance: random.Random, value: Any) -> Any:
    """Change up to three places of a JSON value, however deep they are."""
    for _ in range(chance.randrange(1, 4)):
        value = _change_one(chance, value)
    return value


def _change_one(chance: random.Random, value: Any) -> Any:
    places: list[tuple[Any, Any]] = []
    _collect(value, places)
    if not places or chance.random() < 0.03:
        return copy.deepcopy(chance.choice(STRANGE))
    parent, name = chance.choice(places)
    if chance.random() < 0.2:
        del parent[name]
    else:
        parent[name] = copy.deepcopy(chance.choice(STRANGE))
    return value


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    if not isinstance(value, dict | list):
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in list(items):
        places.append((value, name))
        _collect(inner, places)

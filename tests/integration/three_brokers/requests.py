"""Requests of an operator that aiokafka does not have: who has, and who leads, a partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

TEXT = CompactString("utf-8")
TAGS = ("tags", TaggedFields)
TIMEOUT_MS = 10_000
PREFERRED = 0
#: Topic -> partition -> its brokers, the one that is preferred as the leader first.
Replicas = Mapping[str, Mapping[int, Sequence[int]]]


def rows(*fields: tuple[str, Any]) -> CompactArray:
    return CompactArray(*fields, TAGS)


class ReassignResponse(Response):
    API_KEY = 45
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("error_message", TEXT),
        (
            "responses",
            rows(
                ("name", TEXT),
                (
                    "partitions",
                    rows(("partition", Int32), ("error_code", Int16), ("error_message", TEXT)),
                ),
            ),
        ),
        TAGS,
    )


class ReassignStruct(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 45
    API_VERSION = 0
    RESPONSE_TYPE = ReassignResponse
    SCHEMA = Schema(
        ("timeout_ms", Int32),
        (
            "topics",
            rows(
                ("name", TEXT),
                ("partitions", rows(("partition", Int32), ("replicas", CompactArray(Int32)))),
            ),
        ),
        TAGS,
    )


class Reassign(Request[ReassignStruct]):
    """Says which brokers have each partition, in which order."""

    API_KEY = 45

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    def build(self, request_struct_class: type[ReassignStruct]) -> ReassignStruct:
        topics: list[Any] = [
            (name, [(number, list(order), {}) for number, order in parts.items()], {})
            for name, parts in self._replicas.items()
        ]
        return request_struct_class(TIMEOUT_MS, topics, {})


class ElectResponse(Response):
    API_KEY = 43
    API_VERSION = 2
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "results",
            rows(
                ("topic", TEXT),
                (
                    "partitions",
                    rows(("partition", Int32), ("error_code", Int16), ("error_message", TEXT)),
                ),
            ),
        ),
        TAGS,
    )


class ElectStruct(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 43
    API_VERSION = 2
    RESPONSE_TYPE = ElectResponse
    SCHEMA = Schema(
        ("election_type", Int8),
        ("topics", rows(("topic", TEXT), ("partitions", CompactArray(Int32)))),
        ("timeout_ms", Int32),
        TAGS,
    )


class Elect(Request[ElectStruct]):
    """Makes the preferred broker of each partition its leader."""

    API_KEY = 43

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    def build(self, request_struct_class: type[ElectStruct]) -> ElectStruct:
        topics: list[Any] = [(name, list(parts), {}) for name, parts in self._replicas.items()]
        return request_struct_class(PREFERRED, topics, TIMEOUT_MS, {})

"""Requests of Kafka's protocol that aiokafka 0.14 does not have: their fields, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any
from uuid import UUID

from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

NO_ID = UUID(int=0)
#: The controllers' own topic; it has one partition.
_CLUSTER_METADATA = "__cluster_metadata"

_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


class _Uuid(AbstractType[UUID]):
    """Kafka's UUID: 16 bytes."""

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


def _rows(*fields: tuple[str, Any]) -> CompactArray:
    return CompactArray(*fields, _TAGS)


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", _rows(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            _rows(
                ("error_code", Int16),
                ("topic", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    _rows(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        _TAGS,
    )


class _MetadataRequest(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", _rows(("topic_id", _Uuid), ("name", _TEXT))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


class DescribeTopics(Request[MetadataRequest_v5 | _MetadataRequest]):
    """Asks for topics by their names, with their ids if the broker knows that version.

    Then it tells what the user may do with them, too, if that is asked for.
    """

    API_KEY = 3

    def __init__(self, names: Sequence[str], *, with_operations: bool = False) -> None:
        self._names = names
        self._with_operations = with_operations

    def build(
        self, request_struct_class: type[MetadataRequest_v5 | _MetadataRequest]
    ) -> MetadataRequest_v5 | _MetadataRequest:
        """Return the request in the version that aiokafka has chosen."""
        if request_struct_class is _MetadataRequest:
            topics: list[tuple[UUID, str, dict[int, bytes]]]
            topics = [(NO_ID, name, {}) for name in self._names]
            return _MetadataRequest(topics, False, False, self._with_operations, {})
        return MetadataRequest_v5(list(self._names), False)


_REPLICAS = _rows(
    ("replica_id", Int32),
    ("log_end_offset", Int64),
    ("last_fetch_timestamp", Int64),
    ("last_caught_up_timestamp", Int64),
)


class _QuorumResponse(Response):
    API_KEY = 55
    API_VERSION = 1
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            _rows(
                ("topic_name", _TEXT),
                (
                    "partitions",
                    _rows(
                        ("partition_index", Int32),
                        ("error_code", Int16),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("high_watermark", Int64),
                        ("current_voters", _REPLICAS),
                        ("observers", _REPLICAS),
                    ),
                ),
            ),
        ),
        _TAGS,
    )


class _QuorumRequest(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 55
    API_VERSION = 1
    RESPONSE_TYPE = _QuorumResponse
    SCHEMA = Schema(
        ("topics", _rows(("topic_name", _TEXT), ("partitions", _rows(("partition_index", Int32))))),
        _TAGS,
    )


class DescribeQuorum(Request[_QuorumRequest]):
    """Asks for the state of the controllers' quorum."""

    API_KEY = 55

    def build(self, request_struct_class: type[_QuorumRequest]) -> _QuorumRequest:
        """Return the request."""
        return request_struct_class([(_CLUSTER_METADATA, [(0, {})], {})], {})

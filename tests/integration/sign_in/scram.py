"""Passwords of SCRAM, as brokers keep them: set and changed while a broker runs (KIP-554)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

ITERATIONS = 4096
#: Kafka's number of each mechanism, and its hash.
MECHANISMS = {"SCRAM-SHA-256": (1, "sha256"), "SCRAM-SHA-512": (2, "sha512")}
_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


class _Response(Response):
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(("user", _TEXT), ("error_code", Int16), ("error_message", _TEXT), _TAGS),
        ),
        _TAGS,
    )


class _Request(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("deletions", CompactArray(("name", _TEXT), ("mechanism", Int8), _TAGS)),
        (
            "upsertions",
            CompactArray(
                ("name", _TEXT),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _Passwords(Request[_Request]):
    API_KEY = 51

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def build(self, request_struct_class: type[_Request]) -> _Request:
        return request_struct_class([], self._rows, {})


async def set_password(address: str, user: str, password: str) -> None:
    """Set the password of a user for both mechanisms."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        for number, name in MECHANISMS.values():
            salt = os.urandom(16)
            salted = hashlib.pbkdf2_hmac(name, password.encode(), salt, ITERATIONS)
            # One request may change a user once.
            request = _Passwords([(user, number, ITERATIONS, salt, salted, {})])
            answer = await _answer(admin, request)
            assert [row[1] for row in answer.results] == [0], answer
    finally:
        await admin.close()


async def _answer(admin: AIOKafkaAdminClient, request: _Passwords) -> Any:
    """Send a request that may be sent again; a broker under load has closed the connection."""
    for _ in range(4):
        with contextlib.suppress(KafkaConnectionError):
            return await admin._send_to_controller(request)
        await asyncio.sleep(1)
    return await admin._send_to_controller(request)

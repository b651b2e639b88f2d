"""Rights of the user `limited`, given and taken while a broker runs."""

from __future__ import annotations

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

#: Kafka's own numbers.
TOPIC, GROUP = 2, 3
LITERAL, PREFIXED = 3, 4
DENY, ALLOW = 2, 3
ALL, READ = 2, 3


async def allow_all(address: str, prefix: str) -> None:
    """Let the user do everything with what begins with a prefix."""
    await _set(address, *((kind, prefix, PREFIXED, ALL, ALLOW) for kind in (TOPIC, GROUP)))


async def forbid_reading(address: str, kind: int, name: str) -> None:
    """Forbid the user to read a topic, or as a member of a group."""
    await _set(address, (kind, name, LITERAL, READ, DENY))


async def _set(address: str, *rows: tuple[int, str, int, int, int]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        for kind, name, pattern, operation, permission in rows:
            request = CreateAclsRequest(
                kind, name, pattern, "User:limited", "*", operation, permission
            )
            answer = await admin._send_request(request)
            assert {one[0] for one in answer.creation_responses or answer.creations} == {0}
    finally:
        await admin.close()

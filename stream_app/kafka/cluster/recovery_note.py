"""The note that a worker leaves beside its committed offsets while it recovers its state."""

from __future__ import annotations

import msgspec


class RestoringNote(msgspec.Struct, frozen=True):
    """Which member of the group restores its state, and how far it is."""

    restoring: str
    how_far: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RestoringNote).decode


def note_of(how_far: str, member_id: str) -> str:
    """Return the note of a member as text."""
    return _encode(RestoringNote(member_id, how_far)).decode()


def read_note(metadata: str) -> RestoringNote | None:
    """Return the note beside an offset; None if there is none."""
    try:
        return _decode(metadata) if metadata else None
    except msgspec.MsgspecError:
        return None  # metadata that somebody else has written

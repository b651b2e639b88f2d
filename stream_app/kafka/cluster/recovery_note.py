"""What a member of a group says of itself beside its committed offset while it recovers."""

from __future__ import annotations

import msgspec


class RestoringNote(msgspec.Struct, frozen=True):
    """What a member of a group says of itself while it restores: who it is, and how far."""

    restoring: str
    how_far: str


_encode = msgspec.json.Encoder().encode


_decode = msgspec.json.Decoder(RestoringNote).decode


def note_of(how_far: str, member_id: str) -> str:
    """Return the note of a group's member."""
    return _encode(RestoringNote(member_id, how_far)).decode()


def read_note(metadata: str) -> RestoringNote | None:
    """Return the note beside an offset; None: there is none."""
    try:
        return _decode(metadata) if metadata else None
    except msgspec.MsgspecError:
        return None  # somebody else's word

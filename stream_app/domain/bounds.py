"""Bounds of what records say: beyond them, a value that anybody can write would end a worker."""

from __future__ import annotations

from typing import Annotated

import msgspec

#: An id. Those of this project have some 80 characters. The bound keeps a state within a record.
IdText = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
#: The integers that an encoder can write.
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
#: The end of the year 9999: later times have no text.
LAST_SECOND = 253_402_300_799
#: A time in Unix seconds, or a number of seconds.
PlausibleSeconds = Annotated[int, msgspec.Meta(ge=0, le=LAST_SECOND)]

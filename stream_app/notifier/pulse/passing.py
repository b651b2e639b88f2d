"""Ends the deliveries of the pulse at the request, which is not made, and watches the others'."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from stream_app.domain.configuration.reserved import PULSE_INTEGRATION_ID
from stream_app.domain.delivery.reasons import UNKNOWN_TYPE
from stream_app.domain.delivery.records import Result
from stream_app.domain.delivery.state import DeliveryState
from stream_app.domain.pulse.attempts import AttemptWatch
from stream_app.notifier.attempt import unsent_result
from stream_app.notifier.sender import MakeAttempt, WriteResult

#: The reason of a result of the pulse. It is no label of a metric: nothing was attempted.
PULSE_REASON = "pulse"


def passing(make: MakeAttempt, now_ms: Callable[[], int]) -> MakeAttempt:
    """Return what makes attempts as `make` does, but sends nothing for the pulse's integration.

    Every notifier does so, whether it pings or not.
    """

    async def make_or_pass(state: DeliveryState) -> Result:
        if state.integration_id != PULSE_INTEGRATION_ID:
            return await make(state)
        text = "the pulse: the way is open up to here, and nothing is sent"
        result = unsent_result(state, UNKNOWN_TYPE, PULSE_REASON, text, now_ms())
        # Accepted: it needs no resend. Not sent: it is not judged.
        return msgspec.structs.replace(result, accepted=True)

    return make_or_pass


def watched(
    make: MakeAttempt, write: WriteResult, watch: AttemptWatch, steady_ms: Callable[[], int]
) -> tuple[MakeAttempt, WriteResult]:
    """Return the same two functions, which also tell a watch."""

    async def make_watched(state: DeliveryState) -> Result:
        watch.begin(state.id, state.integration_id, steady_ms())
        return await make(state)

    async def write_watched(partition: int, result: Result) -> None:
        await write(partition, result)
        fault = result.message if result.is_own_fault else ""
        watch.end(result.delivery_id, result.integration_id, steady_ms(), fault)

    return make_watched, write_watched

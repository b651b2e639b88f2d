"""The client, the triggers and the integration of the pulse, which stand in no topic.

The pulse sends an event of its own the whole way through the workers, to prove that it is open.
The ids are negative, and the rules for clients, triggers and integrations take none below 1. So
nobody can configure one of these, and no event of a real client is taken for one of theirs.
"""

from __future__ import annotations

from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.triggers import Threshold, Trigger

#: A number that nobody writes by mistake, as one may write 0 or -1.
PULSE_CLIENT_ID = -1_000_000_000_000
PULSE_INTEGRATION_ID = PULSE_CLIENT_ID
PULSE_CLIENT = Client(PULSE_CLIENT_ID, "Pulse of stream-app", "EU", {})
#: How the keys of the counts of the pulse's triggers begin.
PULSE_KEY_PREFIX = f"{PULSE_CLIENT_ID}:"
_CONDITIONS = ("attacks_exceeded", "hits_exceeded", "incidents_exceeded")
#: A trigger for each topic of events. It fires at the first event of each second.
PULSE_TRIGGERS = {
    number: Trigger(
        id=number,
        client_id=PULSE_CLIENT_ID,
        name="Pulse",
        template_id=condition,
        enabled=True,
        filters=(),
        threshold=Threshold(count=0, period=1),
        integration_ids=(PULSE_INTEGRATION_ID,),
        enabled_at=0,
    )
    for number, condition in enumerate(_CONDITIONS, PULSE_CLIENT_ID)
}

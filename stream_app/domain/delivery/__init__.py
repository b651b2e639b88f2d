"""Deliveries: their records and steps, retry cycles, pauses, and the 60 % rule.

The agent `deliver` and the sender import from here. It never sends: a request and its answer are
the business of `stream_app/opsgenie`.

Why a finished delivery is remembered: it must not be sent again. For a week its state is only how
it ended and in which hour, so a million of them fit into memory.
"""

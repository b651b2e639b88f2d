"""Deliveries: their records and steps, retry cycles, pauses, and the 60 % rule.

The agent `deliver` and the sender import from here. It never sends: a request and its answer are
the business of `stream_app/opsgenie`.
"""

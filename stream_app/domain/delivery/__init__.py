"""Deliveries: their records and steps, retry cycles, pauses, and the 60 % rule.

The agent `deliver` and the sender import from here. It never sends anything: requests and answers
belong to `stream_app/opsgenie`.
"""

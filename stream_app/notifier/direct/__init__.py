"""Requests that commands make themselves: the test of an integration, and its last message.

Nothing here reads or writes a topic. `sender.py`, one level up, sends the deliveries.
"""

"""Pacing: which of the things that are due starts next, and how many at a time.

It knows nothing of deliveries: it orders items by group, time and rate.
"""

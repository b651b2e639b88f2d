"""Alerts and their texts, word for word: one file for each kind of text.

`delivery`, `notices` and the agents import alerts and renderers. Nothing here knows who gets an
alert, or through which service.
"""

"""Reads what an explanation needs: a record by its place, windows, and the configuration of then.

Nothing here joins a group or writes. `domain/explanation` has the rules.
"""

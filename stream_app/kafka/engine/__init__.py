"""The Faust app: batches of records in, flushes of effects and progress out.

Both roles import from here. An agent is a `Stage` (`stage.py`) that the flush loop drives; nothing
here knows what an agent counts or sends.
"""

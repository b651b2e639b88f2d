"""An alert, and its texts word for word: one file for each kind of text.

`delivery`, `notices` and the agents import the alert and the renderers. Nothing here knows who
gets an alert, or over which service.
"""

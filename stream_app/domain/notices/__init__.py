"""Notices: how they come, what they say, who has subscribed, and the project's own ones.

`match` and `announce` import from here. The texts of their alerts are in `domain/alerts`.
"""

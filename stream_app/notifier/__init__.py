"""The notifier turns alerts into deliveries and posts them. One Faust app, one file per agent.

The rules are in `domain/delivery`. Requests go through `stream_app/opsgenie/destination.py`, the
only module of that package that may be imported here.
"""

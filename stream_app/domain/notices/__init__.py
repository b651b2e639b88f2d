"""Notices: reading them, who gets them, and those that stream_app writes itself.

The agents `match` and `announce` import from here, and the notifier takes its own notices from
`outgoing`. The texts of the alerts that notices become are in `domain/alerts`.
"""

"""The notifier: turns alerts into deliveries and posts them. One Faust app, one file per agent.

Its rules are in `domain/delivery`; requests and answers are in `stream_app/opsgenie`.
"""

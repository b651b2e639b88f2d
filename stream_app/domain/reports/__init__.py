"""Reports that commands show: the overview of an installation, and the history of an alert.

The commands and `stream_app/kafka/history` import from here. It only describes what has happened,
and decides nothing.
"""

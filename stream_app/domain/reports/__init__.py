"""Reports that commands show: the overview of an installation, and the history of an alert.

The commands, `doctor` and the readers in `stream_app/kafka` import from here. It only describes
what has happened, and decides nothing.
"""

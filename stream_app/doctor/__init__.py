"""The checks of `stream-app doctor`. Each looks at one thing, says what to do, and changes nothing.

Only the command `doctor` imports from here. What `status` shows, too, is read in `kafka/`, once for
both.
"""

"""What commands read from the topics and copy, without joining a group.

Only commands and `doctor` import from here; workers never do.
"""

"""What commands show of an installation: its overview, and the history of an alert.

It reads what others have written, and decides nothing for them.
"""

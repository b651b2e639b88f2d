"""The checks of `stream-app doctor`: each looks at one thing, changes nothing, and says what to do.

Only its command imports from here. What `status` needs, too, is read in `kafka/`.
"""

"""When an alert is over: no further window of its episode has fired for the chosen time.

`barrier.py` decides whether everything up to a moment has been counted and told; it is pure.
"""

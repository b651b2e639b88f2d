"""Dead letters: finding and selecting them, and which of them may be redriven.

Commands import from here. Workers write dead letters with `stream_app/kafka/dead_letters`.
"""

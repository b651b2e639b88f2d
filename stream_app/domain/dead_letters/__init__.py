"""Dead letters as people look for them, and which of them may come back.

Commands import from here. Workers, which write dead letters, do it in
`stream_app/kafka/dead_letters`.
"""

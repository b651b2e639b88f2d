"""Record batches, down to their bytes: fetched, unpacked within bounds, and read tolerantly.

A batch that cannot be read is contained here, and told. Nothing here knows what a record means.
"""

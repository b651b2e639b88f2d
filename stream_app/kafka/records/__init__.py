"""Record batches, down to their bytes: fetched, unpacked within bounds, and read tolerantly.

A batch that cannot be read is skipped and reported; it harms no other. Nothing here knows what a
record means, and no other room is imported.
"""

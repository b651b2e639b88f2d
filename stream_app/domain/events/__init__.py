"""From bytes to events: the model, the decoder, older shapes and names, batches, and times.

Counting and replay import the decoders. Nothing here knows triggers, or decides what is counted.
"""

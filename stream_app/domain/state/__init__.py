"""What the states of all agents share: values by key, progress, and packed changelog records.

It does not know what a state holds: cells and windows are in `domain/counting`, deliveries in
`domain/delivery`.
"""

"""What the states of all agents share: values by key, progress, and packed changelog records.

It never knows what a state is of: cells and windows are in `domain/counting`, deliveries in
`domain/delivery`.
"""

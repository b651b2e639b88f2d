"""The Kafka edge, shared by both roles.

The rooms, from the ground up: `records` (bytes to records), `cluster` (connections and topics),
`configuration`, `state` (tables, changelogs, recovery), `dead_letters`, `engine` (the Faust app
and the flush loop), `watch` (what a running worker keeps an eye on), `history` (what commands read
and copy), and `embedded` (the local broker).
"""

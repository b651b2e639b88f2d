"""Public IP addresses that each cloud sends from, for the allow-lists of its destinations.

Source: the list "Wallarm Cloud IP addresses" on the page of the Opsgenie integration, in its order.
"""

from __future__ import annotations

from collections.abc import Mapping

CLOUD_ADDRESSES: Mapping[str, tuple[str, ...]] = {
    "US": (
        "34.102.90.100",
        "34.94.156.115",
        "35.235.115.105",
        "34.94.85.217",
        "34.94.51.234",
        "34.102.59.122",
        "34.94.238.72",
        "35.235.100.79",
        "34.102.45.38",
        "34.94.241.21",
        "34.94.203.193",
        "34.94.238.221",
        "34.94.9.235",
        "34.94.118.150",
        "34.94.193.9",
    ),
    "EU": (
        "34.141.230.156",
        "34.91.138.113",
        "34.90.114.134",
        "35.204.127.78",
        "34.90.24.155",
        "34.7.147.149",
    ),
    "ME": ("34.166.215.174",),
}

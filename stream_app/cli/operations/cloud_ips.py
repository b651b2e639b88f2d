"""`stream-app cloud-ips`: the addresses that the security cloud sends from."""

from __future__ import annotations

import click

from stream_app.cli.output import print_json, print_lines, print_table
from stream_app.domain.catalog.cloud_addresses import CLOUD_ADDRESSES


@click.command("cloud-ips", epilog="Example: stream-app cloud-ips --cloud EU > allow-list.txt")
@click.option(
    "--cloud",
    type=click.Choice(list(CLOUD_ADDRESSES)),
    help="Only this cloud's, one address on each line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each address as JSON, one per line.")
def cloud_ips(cloud: str | None, *, as_json: bool) -> None:
    """List the public IP addresses of the security cloud, for allow-lists.

    They are those of the documented page. Needs no Kafka and no settings.
    """
    chosen = {name: ips for name, ips in CLOUD_ADDRESSES.items() if cloud in (None, name)}
    rows = [(name, ip) for name, ips in chosen.items() for ip in ips]
    if as_json:
        for name, ip in rows:
            print_json({"cloud": name, "address": ip})
    elif cloud is not None:
        print_lines("\n".join(chosen[cloud]))
    else:
        print_table(["CLOUD", "ADDRESS"], rows)

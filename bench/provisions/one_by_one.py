"""The other way to list provisions: their pool, then the body of each. Run by ``bench/provision_list.py``."""

from __future__ import annotations

from hybrid_drivers.cli.provision.front_end import here
from hybrid_drivers.cli.provision.lists import PROVISIONS
from hybrid_drivers.provision.overview import Row
from hybrid_drivers.provision.record import Record

COLUMNS = ("ID", "NAME", "CLUSTERS", "HOSTS", "NETWORKS", "DATASTORES", "STAT")


def row(record: Record) -> Row:
    """Return what the list shows of a provision."""
    counts = {kind: len(record.exists(kind)) for kind in ("clusters", "hosts", "networks", "datastores")}
    return Row(
        id=record.id,
        name=record.name,
        state=record.state.name,
        provider=record.provider,
        ready=0,
        wanted=0,
        started=record.started,
        holder="",
        **counts,
    )


def main() -> None:
    """Print the table without its header."""
    site = here()
    rows = [row(site.store.read(known.id)) for known in site.store.known()]
    columns = [PROVISIONS.column(name) for name in COLUMNS]
    for one in rows:
        print(*[column.get(one) for column in columns])


if __name__ == "__main__":
    main()

"""More hosts, or fewer: which ones come and which ones go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Host
from hybrid_drivers.provision import plan
from hybrid_drivers.provision.record import Record, Slot, Stage


def add_hosts(
    record: Record,
    specs: plan.Specs,
    *,
    amount: int,
    names: Sequence[str] = (),
    parameters: Mapping[str, str] | None = None,
) -> list[Slot]:
    """Plan ``amount`` more hosts, made like the template's last one; ``parameters`` are PROVISION keys of theirs.

    Raises:
        ConfigError: the template has no host to take as a model, or there are more names than hosts.
    """
    last = len(specs.by_kind["hosts"]) - 1
    if last < 0:
        raise ConfigError(f"the template of provision {record.id} has no host, so there is nothing to add one like")
    if len(names) > amount:
        raise ConfigError(f"{len(names)} names are given for {amount} hosts")
    added = []
    for at in range(amount):
        slot = plan.add_slot(record, "hosts", last)
        own = {**(parameters or {}), **({"hostname": names[at]} if at < len(names) else {})}
        added.append(record.put(replace(slot, own={key.lower(): value for key, value in own.items()})))
    return added


def to_remove(record: Record, hosts: Mapping[int, Host], amount: int) -> list[Slot]:
    """Choose ``amount`` hosts to give back: those that are not there or failed, then the youngest without guests.

    Raises:
        ConfigError: too many hosts carry virtual machines.
    """
    slots = [slot for slot in record.of_kind("hosts") if slot.stage is not Stage.SKIPPED]

    def worth(slot: Slot) -> tuple[int, int]:
        host = hosts.get(slot.number)
        if host is None:
            return 0, -slot.index
        state = host.template.text("PROVISION_STATE")
        return (1 if state == "ERROR" else 2 if state != "READY" else 3), -slot.index

    idle = [slot for slot in slots if not _guests(hosts.get(slot.number))]
    if len(idle) < amount:
        busy = ", ".join(slot.name for slot in slots if slot not in idle)
        raise ConfigError(
            f"{amount} hosts are to go, but only {len(idle)} are without virtual machines: move those of {busy} first"
        )
    return sorted(idle, key=worth)[:amount]


def _guests(host: Host | None) -> int:
    return host.running_vms if host is not None else 0

"""The ``vnm`` actions of driver ``hybrid`` on the front-end: public addresses go where virtual machines are.

``post`` sends the addresses of a machine's cards to the rented machine it runs on, then has the node do its part;
``clean`` takes them away again, but only from the machine it was called for: after a migration they may be at the new
one by then. What oned does around them, and which host it names when, is in ``docs/addresses.md``. Nothing is kept:
where an address goes the provider knows, who has it oned does, so every action can be repeated.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from hybrid_drivers.agent import record as records
from hybrid_drivers.agent.address_locks import AddressLocks
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.range_accounts import RangeAccounts
from hybrid_drivers.agent.record import HostRecord
from hybrid_drivers.agent.vnm_node import NodePart
from hybrid_drivers.agent.vnm_targets import Target, is_ours, shown, targets_of
from hybrid_drivers.errors import (
    AddressGone,
    ConfigError,
    HostError,
    HostUnreachable,
    HybridError,
    MachineGone,
    NoSuchObject,
    ProviderError,
    TransientError,
)
from hybrid_drivers.model_addresses import Assignment
from hybrid_drivers.oned import vnm_actions as actions
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.process import Answer
from hybrid_drivers.oned.vnm_actions import Card
from hybrid_drivers.oned.xml import as_drivers_get_it, with_values

# Seconds after which nothing new is begun for an action. What was begun by then may take as long as putting the remotes
# on a node; the thin client gives up after 600.
LIMIT: Final = 120.0
_PCI: Final = "a PCI card cannot have an address of VN_MAD hybrid: its traffic does not go through the host"

log = logging.getLogger(__name__)


@dataclass
class _Sent:
    """What a ``post`` has sent to a machine: what went nowhere before, and what went elsewhere; ``all`` of it."""

    fresh: list[Target] = field(default_factory=list)
    moved: list[Target] = field(default_factory=list)
    all: bool = False


class Networks:
    """Answers the actions. ``left`` is told of a failed one: blocks it may have left addresses of, and the machine."""

    def __init__(
        self,
        parts: Parts,
        node: NodePart,
        locks: AddressLocks,
        left: Callable[[Collection[str], int], None],
        limit: float = LIMIT,
    ) -> None:
        self._parts, self._node, self._locks, self._left, self._limit = parts, node, locks, left, limit
        self._accounts = RangeAccounts(parts.accounts, parts.oned)

    def answer(self, action: actions.NetworkAction) -> Answer:
        """Carry out one action.

        Raises:
            HybridError: it could not be done; of ``post`` nothing is left then.
        """
        if isinstance(action, actions.CreateNetwork):
            return _known(action)
        if isinstance(action, actions.DeleteNetwork):
            return Answer()
        until = time.monotonic() + self._limit
        targets: list[Target] = []
        try:
            if isinstance(action, actions.Post):
                targets = self._of_post(action)
                self._post(action, targets, until)
            else:
                targets, broken = self._of_clean(action)
                self._clean(action, targets, broken, until)
        except HybridError:
            self._left({one.block for one in targets}, action.vm_id)
            raise
        return Answer()

    def repair(self, action: actions.Post, still: Callable[[], bool]) -> bool:
        """Do a ``post`` again that failed, if the machine ``still`` runs there once nobody else moves its addresses.

        Returns:
            Whether it did.

        Raises:
            HybridError: it could not be done; what could is, since the machine runs there.
        """
        return self._post(action, self._of_post(action), time.monotonic() + self._limit, still)

    # --- post -----------------------------------------------------------------------------------------------------

    def _post(
        self, action: actions.Post, targets: list[Target], until: float, still: Callable[[], bool] | None = None
    ) -> bool:
        if not targets:
            return True  # nothing comes from a provider
        record = self._host_of_post(action)
        with self._locks.hold((one.key for one in targets), self._limit):
            if still is not None and not still():
                return False
            at: dict[Target, Assignment] = {}
            sent = _Sent()
            try:
                for one in targets:
                    _in_time(until)
                    with _unless_it_stays(one.card, action):
                        at[one] = self._sent(one, action, record, sent)
                _in_time(until)
                sent.all = True
                self._node.run(record, "remote_post", _told(action, at))
            except HybridError:
                if still is None:
                    self._undo(action, record, sent, at)
                raise
        return True

    def _sent(self, one: Target, action: actions.Post, record: HostRecord, sent: _Sent) -> Assignment:
        """Send an address to the host's machine; it is noted in ``sent`` first when it was not there."""
        if one.card.kind == "PCI":
            raise ConfigError(f"{shown(one.card)}: {_PCI}")
        if one.holder not in (None, action.vm_id):
            raise ConfigError(f"{shown(one.card)}: {one.inside} is leased to virtual machine {one.holder}")
        machine = record.deploy_id
        now = one.at.addresses.assignment(one.public, one.block)
        if now is not None and now.machine_id == machine:
            return now
        if one.card in action.concerned:
            came = now is not None and not action.hotplug  # attaching is undone whole
            (sent.moved if came else sent.fresh).append(one)
        try:
            made = one.at.addresses.assign(one.public, one.block, machine, private=one.inside)
        except MachineGone as exc:
            raise MachineGone(
                f"{one.public} cannot go to host {record.host.name}: provider {one.at.account.name} has no machine "
                f"{machine}; addresses can only go to hosts that are rented there"
            ) from exc
        log.info("%s goes to machine %s (host %s) for VM %s", one.public, machine, record.host.name, action.vm_id)
        return made

    def _undo(self, action: actions.Post, record: HostRecord, sent: _Sent, at: dict[Target, Assignment]) -> None:
        """Take away what this call sent there, unless somebody else has moved it since.

        When only the node failed, what came from another host stays: the machine runs here by now, and after a live
        migration nobody asks again but the sweep.
        """
        fresh = sent.fresh if sent.all else sent.fresh + sent.moved
        if fresh and sent.all:  # the node may have done its part
            with contextlib.suppress(HybridError):
                self._node.run(record, "remote_clean", _told_only(action, {one: at[one] for one in fresh}))
        for one in fresh:
            try:
                self._leave(one, record.deploy_id)
            except ProviderError as exc:
                log.warning("%s stays at machine %s until the next sweep: %s", one.public, record.deploy_id, exc)

    # --- clean ----------------------------------------------------------------------------------------------------

    def _clean(self, action: actions.Clean, targets: list[Target], failures: list[HybridError], until: float) -> None:
        """Do all that can be done; the first failure is raised at the end."""
        if not (targets or failures):
            return  # nothing comes from a provider
        record = self._host_of_clean(action)
        with self._locks.hold((one.key for one in targets), self._limit):
            held = {one.key for one in targets}
            targets, failures = self._of_clean(action)  # who has the leases is known for sure only now
            at: dict[Target, Assignment] = {}
            for one in targets:
                try:
                    _in_time(until)
                    if one.key not in held:  # its account could not be had a moment ago
                        raise TransientError(f"{shown(one.card)}: its address range has changed, try it again")
                    self._taken(one, action, record, at)
                except (ProviderError, ConfigError) as exc:
                    failures.append(exc)
            if record is not None and record.address:
                with _collected(failures):
                    self._cleaned(action, record, targets, at)
        if failures:
            raise failures[0]

    def _taken(
        self, one: Target, action: actions.Clean, record: HostRecord | None, at: dict[Target, Assignment]
    ) -> None:
        """Take an address from the host's machine; it stays where it is when it is elsewhere, or another's by now."""
        if one.holder not in (None, action.vm_id):
            log.info("%s stays: it is leased to VM %s, not to VM %s any more", one.public, one.holder, action.vm_id)
            return
        machine = record.deploy_id if record is not None else ""
        now = self._leave(one, machine)
        if now is not None and now.machine_id == machine:
            at[one] = now

    def _leave(self, one: Target, machine: str) -> Assignment | None:
        """Unassign an address that goes to ``machine`` ("": to one that no host has); return where it went."""
        try:
            now = one.at.addresses.assignment(one.public, one.block)
        except AddressGone:
            return None
        if now is None:
            return None
        if now.machine_id != machine and (machine or self._is_known(now.machine_id)):
            log.info("%s stays: it goes to machine %s", one.public, now.machine_id)
            return now
        one.at.addresses.unassign(one.public, one.block)
        log.info("%s no longer goes to machine %s", one.public, now.machine_id)
        return now

    def _is_known(self, machine: str) -> bool:
        return any(records.read(host).deploy_id == machine for host in self._parts.oned.hosts())

    def _cleaned(
        self, action: actions.Clean, record: HostRecord, targets: list[Target], at: dict[Target, Assignment]
    ) -> None:
        """Have the node do its part, unless there is no node any more.

        It is not told addresses that are another machine's by now, nor those that only the provider would know.
        """
        untold = Assignment(id="", machine_id="")
        values = {
            one: at.get(one, untold)
            for one in targets
            if one.holder in (None, action.vm_id) and (one in at or not _is_translated(one))
        }
        try:
            self._node.run(record, "remote_clean", _told(action, values))
        except HostUnreachable:
            if not targets or not _is_gone(targets[0], record.deploy_id):
                raise
            log.info("host %s has no machine any more: nothing to clean there", record.host.name)

    # --- looking things up ----------------------------------------------------------------------------------------

    def _of_post(self, action: actions.Post) -> list[Target]:
        """Return the addresses of all cards, which the node is told; cards that stay can be without."""

        def failed(card: Card, exc: HybridError) -> None:
            with _unless_it_stays(card, action):
                raise exc

        return self._targets(action.cards, leaving=False, failed=failed)

    def _of_clean(self, action: actions.Clean) -> tuple[list[Target], list[HybridError]]:
        """Return the addresses it is about, and why others of them cannot be had."""
        failures: list[HybridError] = []
        return self._targets(action.concerned, leaving=True, failed=lambda _, exc: failures.append(exc)), failures

    def _targets(
        self, cards: Sequence[Card], *, leaving: bool, failed: Callable[[Card, HybridError], None]
    ) -> list[Target]:
        if not cards:
            return []
        known = Objects(self._parts.oned).network_ranges()
        return targets_of(cards, known, self._accounts, leaving=leaving, failed=failed)

    def _host_of_post(self, action: actions.Post) -> HostRecord:
        """Return the host the machine is on: that of the last record, whichever argv names."""
        found = self._by_id(action.host_id) if action.host_id is not None else self._by_name(action.host_name)
        if found is None:
            raise ConfigError(f"there is no host {action.host_name or action.host} in OpenNebula")
        name = found.host.name
        if not found.deploy_id:
            raise ConfigError(
                f"host {name} is not rented from a provider, so no public address of one can go there: "
                "keep virtual machines with such networks to rented hosts"
            )
        if not found.address or not found.host_keys:
            raise HostError(f"the machine of host {name} is not configured yet: try again when the host is ready")
        return found

    def _host_of_clean(self, action: actions.Clean) -> HostRecord | None:
        """Return the host that argv names: the one of the last record only when that has the same name."""
        if action.host == action.host_name and action.host_id is not None:
            found = self._by_id(action.host_id)
        else:
            found = self._by_name(action.host)
        return found if found is not None and found.deploy_id else None

    def _by_id(self, host_id: int) -> HostRecord | None:
        try:
            return records.read(self._parts.oned.host(host_id))
        except NoSuchObject:
            return None

    def _by_name(self, name: str) -> HostRecord | None:
        """Find a host by its name, else by what it was called, as a history has it: its address."""
        found = [records.read(one) for one in self._parts.oned.hosts()]
        named = [one for one in found if one.host.name == name] or [one for one in found if one.address == name]
        return named[0] if named else None


def _told(action: actions.OnMachine, at: dict[Target, Assignment]) -> bytes:
    """Return the document with the address at which the traffic of each card arrives at the machine, and gateways."""
    values: dict[tuple[str, str], dict[str, str]] = {}
    for one, where in at.items():
        card = values.setdefault((one.card.kind, str(one.card.nic_id)), dict(one.gateways))
        card[one.element] = where.private or one.public
    return with_values(action.document, f"the document of VM {action.vm_id}", values)


def _told_only(action: actions.OnMachine, at: dict[Target, Assignment]) -> bytes:
    """Return the document as if just these cards were being detached, and the others were no cards of the driver.

    They stay in it: without a mark the node would undo the whole machine, and what of it has no card there, too.
    """
    document = as_drivers_get_it(_told(action, at), {str(one.card.nic_id) for one in at})
    gone = {one.card for one in at}
    others = {(one.kind, str(one.nic_id)): {"VN_MAD": ""} for one in action.cards if one not in gone}
    return with_values(document, f"the document of VM {action.vm_id}", others)


def _is_gone(one: Target, machine: str) -> bool:
    try:
        return not one.at.account.provider.get(machine).state.exists
    except MachineGone:
        return True
    except ProviderError:
        return False


def _is_translated(one: Target) -> bool:
    """Tell whether only the provider knows at which address the machine gets its traffic."""
    return one.at.addresses.translates and ":" not in one.public


@contextlib.contextmanager
def _unless_it_stays(card: Card, action: actions.Post) -> Iterator[None]:
    """Let what fails for a card be a warning when another one is attached: that does not wait for it."""
    try:
        yield
    except HybridError as exc:
        if card in action.concerned:
            raise
        log.warning("VM %s: %s stays as it is: %s", action.vm_id, shown(card), exc)


@contextlib.contextmanager
def _collected(failures: list[HybridError]) -> Iterator[None]:
    try:
        yield
    except HybridError as exc:
        failures.append(exc)


def _in_time(until: float) -> None:
    if time.monotonic() > until:
        raise TransientError("the provider is too slow: nothing more is begun for this action, try it again")


def _known(action: actions.CreateNetwork) -> Answer:
    """Acknowledge a new network; what will not work is told in oned's log."""
    odd = [ar.get("IPAM_MAD") or "none" for ar in action.ranges if not is_ours({"DEPLOY_ID": "to come", **ar})]
    if not odd:
        return Answer()
    text = f"WARN: network {action.vnet_id} has address ranges of no provider (IPAM_MAD {', '.join(odd)[:80]})"
    return Answer(stderr=f"{text}: driver hybrid does nothing for their addresses\n".encode())

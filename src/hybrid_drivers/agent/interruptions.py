"""Interruptions of spot hosts: the provider is asked again and again, and a host that it takes back is flushed.

Flushed with OpenNebula's own means, as ``onehost flush`` does it (OpenNebula ``host.rb``, ``flush``): the host is
disabled and ``resched`` set on every VM there; OpenNebula's scheduler then moves them where they fit. oned takes the
flag of VMs that run, are unknown or powered off (``DispatchManagerActions.cc``, ``resched``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Final

from hybrid_drivers.agent import spot
from hybrid_drivers.agent.accounts import Account
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.record import HostRecord, read
from hybrid_drivers.errors import ActionRefused, ConfigError, NoSuchObject, OnedError, OnedUnreachable, ProviderError
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.providers.base import Interruptions as Tells

PATIENCE: Final = 5.0  # seconds a look waits for answers; one that comes later is for the next look
AT_ONCE: Final = 8  # accounts asked at the same time

Told = Mapping[str, "float | None"]  # machine -> when it is taken back
log = logging.getLogger(__name__)


class Interruptions:
    """Watches spot hosts.

    ``flushed`` is called with a host's id after each flush, so that nobody waits for the next look of others.
    Accounts are asked at the same time: one that does not answer must not eat the two minutes of the others' hosts.
    """

    def __init__(self, parts: Parts, flushed: Callable[[int], None], *, patience: float = PATIENCE) -> None:
        self._parts, self._flushed, self._patience = parts, flushed, patience
        self._asking: dict[str, Future[Told]] = {}  # account -> its answer on the way
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="interruptions")
        self._vms = Vms(parts.oned)
        self._silent: dict[str, str] = {}  # account -> why it does not tell, said once

    def sweep(self) -> None:
        """Ask each account with spot hosts once, and flush what it takes back.

        Raises:
            OnedError: oned cannot be asked.
        """
        watched = [one for one in map(read, self._parts.oned.hosts()) if spot.is_watched(one)]
        accounts = list(self._by_account(watched))
        for account, _ in accounts:
            if account.name not in self._asking:
                self._asking[account.name] = self._pool.submit(self._told, account)
        wait([self._asking[account.name] for account, _ in accounts], self._patience)
        for account, records in accounts:
            silent = not self._asking[account.name].done()
            told = {} if silent else self._asking.pop(account.name).result()
            for record in records:
                flush = spot.next_flush(record, told, self._parts.clock.now())
                if flush is not None:
                    self._carry_out(record, flush)

    def stop(self) -> None:
        """Ask nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _by_account(self, records: Iterable[HostRecord]) -> Iterable[tuple[Account, list[HostRecord]]]:
        found: dict[str, tuple[Account, list[HostRecord]]] = {}
        for record in records:
            try:
                account = self._account(record)
            except (ConfigError, NoSuchObject) as exc:
                log.warning("host %s cannot be watched for interruptions: %s", record.host.id, exc)
                continue
            found.setdefault(account.name, (account, []))[1].append(record)
        return found.values()

    def _account(self, record: HostRecord) -> Account:
        if name := record.provision.get("RENTED_FROM"):
            return self._parts.accounts.named(name)
        own = self._parts.oned.host(record.host.id).template.vector("PROVISION")  # the list has secrets encrypted
        return self._parts.accounts.for_attributes(own, f"host {record.host.name}")[0]

    def _told(self, account: Account) -> Told:
        if not isinstance(account.provider, Tells):
            return {}
        try:
            told = account.provider.interruptions(self._parts.owner())
        except ProviderError as exc:
            if self._silent.get(account.name) != str(exc):
                log.warning("provider %s cannot be asked for interruptions: %s", account.name, exc)
            self._silent[account.name] = str(exc)
            return {}
        self._silent.pop(account.name, None)
        return told

    def _carry_out(self, record: HostRecord, flush: spot.Flush) -> None:
        host, known = record.host, flush.interruption
        try:
            if flush.begins:
                log.warning("host %s (%s): machine %s is taken back", host.id, host.name, known.machine)
                self._parts.oned.update_host(host.id, spot.rendered(known))
                if known.disables:
                    self._parts.oned.set_host_status(host.id, "disable")
            left = frozenset(one for one in flush.vms if not self._moves(one))
            if flush.begins or left != known.left:
                self._parts.oned.update_host(host.id, spot.rendered(replace(known, flushed=True, left=left)))
        except NoSuchObject:  # the host was deleted meanwhile
            return
        except OnedUnreachable:
            raise
        except OnedError as exc:  # the others cannot wait; the next look goes on with this one
            log.warning("host %s (%s) is not flushed yet: %s", host.id, host.name, exc)
            return
        if flush.begins:
            self._flushed(host.id)

    def _moves(self, vm_id: int) -> bool:
        """Have OpenNebula move a VM; tell whether nothing more is to be done about it."""
        try:
            self._vms.action(vm_id, "resched")
        except NoSuchObject:
            return True
        except ActionRefused as exc:
            log.info("virtual machine %s is not moved now: %s", vm_id, exc)
            return False
        return True

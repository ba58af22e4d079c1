"""Taking a provision away: what it made, nothing else, machines first, and only what is confirmed counts as gone."""

from __future__ import annotations

from collections.abc import Iterable

from hybrid_drivers.errors import ConfigError, HybridError, NoSuchObject
from hybrid_drivers.provision.deleting import Deleter
from hybrid_drivers.provision.progress import Teller
from hybrid_drivers.provision.record import Record, State, ids
from hybrid_drivers.provision.returning import Returns
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.workloads import Workloads

BEFORE = ("flowtemplates", "vntemplates", "templates", "images")
AFTER = ("networks", "datastores", "clusters")  # what hosts are in goes after them


class NotEmpty(ConfigError):
    """Virtual machines or images of others would be lost, or foreign objects stand in the way; nothing was changed."""


class Removal:
    """One run of taking a provision away. ``cleanup``: its virtual machines and all images in its datastores, too.

    ``timeout``: seconds for each virtual machine or image to go.
    """

    def __init__(self, site: Site, record: Record, teller: Teller, *, cleanup: bool, timeout: float) -> None:
        self._site, self._record, self._teller, self._cleanup = site, record, teller, cleanup
        self._returns = Returns(site, record, self._say)
        self._workloads = Workloads(site, record, teller, timeout)
        self._deleter = Deleter(site, record, self._say)

    def run(self) -> None:
        """Take everything away, the record last.

        Raises:
            NotEmpty: something is in the way; nothing was changed.
            HybridError: something could not be taken away; the record says what is left, and another run goes on.
        """
        self.check()
        self._record.state, self._record.problem = State.DELETING, ""
        self._teller.hosts(())
        self._say("DELETING")
        self._site.store.save(self._record)
        try:
            self._take_away()
        except HybridError as exc:
            self._record.problem = str(exc)
            self._site.store.note(self._record, str(exc))
            self._site.store.save(self._record)
            raise
        self._site.store.delete(self._record)

    def check(self) -> None:
        """Refuse when others would lose something, or stand in the way of what is to be deleted.

        Raises:
            NotEmpty: names what is in the way.
        """
        problems = [] if self._cleanup else self._workloads.problems()
        problems += self._workloads.elsewhere() + self._strangers()
        if problems:
            raise NotEmpty(f"provision {self._record.id} '{self._record.name}' is not deleted: " + "; ".join(problems))

    def _take_away(self) -> None:
        if self._cleanup:
            self._workloads.terminate()
        self._deleter.delete_kinds(*BEFORE)
        self._returns.delete(self._record.exists("hosts"))
        if self._cleanup:
            self._workloads.delete_images()
        self._confirm()
        self._deleter.delete_kinds(*AFTER)

    # --- hosts ------------------------------------------------------------------------------------------------------

    def _confirm(self) -> None:
        left = self._returns.confirm()
        if left:
            names = ", ".join(f"{one.name} (machine {one.machine or 'unknown'} at {one.provider})" for one in left)
            raise HybridError(
                f"not confirmed to be given back: {names}; 'onehybrid agent status' tells whether the agent works on "
                "it; run delete again to look again"
            )
        if self._record.of_kind("hosts"):
            self._say("all machines are given back")
        for slot in self._record.of_kind("hosts"):
            self._record.drop(slot)
        self._site.store.save(self._record)

    # --- what is not ours -------------------------------------------------------------------------------------------

    def _strangers(self) -> list[str]:
        """Say what others put into the cluster: oned deletes no cluster that holds something."""
        cluster_id = self._record.cluster_id
        if cluster_id is None:
            return []
        try:
            cluster = self._site.objects.get("cluster", cluster_id)
        except NoSuchObject:
            return []
        ours = {kind: ids(self._record.exists(kind)) for kind in ("hosts", "datastores", "networks")}
        groups: Iterable[tuple[str, str, Iterable[int]]] = (
            ("hosts", "host", cluster.host_ids),
            ("datastores", "datastore", cluster.datastore_ids),
            ("networks", "network", cluster.vnet_ids),
        )
        strangers = [f"{word} {one}" for kind, word, found in groups for one in found if one not in ours[kind]]
        if not strangers:
            return []
        return [
            f"cluster {cluster.name} holds {', '.join(strangers)}, not made by it: take that out of the cluster first"
        ]

    def _say(self, text: str) -> None:
        self._site.store.note(self._record, text)
        self._teller.say(text)

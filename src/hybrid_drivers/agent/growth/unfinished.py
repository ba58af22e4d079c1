"""Hosts that growing was making when the agent was killed: allocated in the default cluster, and left there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import replace
from typing import Final

from hybrid_drivers.agent.growth.names import stem_in, stem_of
from hybrid_drivers.agent.growth.view import Cloud
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.record import GROWN, IM_MAD
from hybrid_drivers.agent.spec import BOOKKEEPING
from hybrid_drivers.errors import NoSuchObject, OnedError, OnedUnreachable
from hybrid_drivers.model import Cluster, Host
from hybrid_drivers.oned.objects import Objects

DEFAULT_CLUSTER: Final = 0

log = logging.getLogger(__name__)


class Unfinished:
    """Finishes or removes them; ``ask`` has a host looked at by the reconciler."""

    def __init__(self, parts: Parts, objects: Objects, ask: Callable[[int], None]) -> None:
        self._parts, self._objects, self._ask = parts, objects, ask

    def tidied(self, cloud: Cloud, growing: Iterable[Cluster]) -> Iterator[Host]:
        """Finish or remove hosts that an agent was making when it was killed; yield the hosts there are then.

        None of them has rented anything (``spec.resolve`` waits for the move), unless it is the default cluster itself
        that grows: there it is given back. One that could not be moved counts where it belongs all the same: nothing
        shall be ordered in its place.
        """
        stems = {stem_of(one, cloud.clusters) for one in growing}
        ids = {str(one.id): one for one in growing}
        for host in cloud.hosts:
            if host.im_mad != IM_MAD or host.cluster_id != DEFAULT_CLUSTER:
                yield host
            elif (kept := self._finished(host, stems, ids)) is not None:
                yield kept

    def _finished(self, host: Host, stems: Set[str], ids: Mapping[str, Cluster]) -> Host | None:
        """Move a host of the default cluster where its GROWTH says, or remove one that has none; None: it is gone."""
        provision, grown = host.template.vector("PROVISION"), host.template.vector(GROWN)
        target = ids.get(grown.get("CLUSTER_ID", ""))
        kept: Host | None = host
        try:
            if target is not None and target.id != DEFAULT_CLUSTER and "DEPLOY_ID" not in provision:
                kept = replace(host, cluster_id=target.id)
                self._objects.add_to_cluster(target.id, "host", host.id)
                self._ask(host.id)
            elif not grown and not host.vm_ids and _is_stranded(host, provision, stems):
                self._parts.oned.delete_host(host.id)
                return None
        except NoSuchObject:
            return None
        except OnedUnreachable:
            raise
        except OnedError as exc:
            log.warning("host %s (%s): %s", host.id, host.name, exc)
        return kept


def _is_stranded(host: Host, provision: Mapping[str, str], stems: Set[str]) -> bool:
    """Tell whether a host in the default cluster was made by growing and never told what it is."""
    stem = stem_in(provision.get("HOSTNAME") or host.name)
    return stem in stems and not provision.keys() - BOOKKEEPING

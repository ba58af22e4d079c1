"""``onehybrid configure`` as the agent answers it: which hosts, what they are refused for, and what became of them.

Two actions of the family ``agent``, both with JSON as their one argument and their answer::

    configure       {"hosts": ["edge1", "7"], "cluster": "", "all": false, "check": true}
                 -> {"job": "...", "hosts": [{"id": 7, "name": "10.0.0.7", "friendly": "edge7"}]}
    configure-poll  {"job": "...", "since": 12}
                 -> {"events": [...], "done": false}        the events from number 12 on, after some seconds at most

A third one, ``look`` with host ids as arguments and no answer, is for who has enabled hosts and waits for them.

An event is a step that ended (``event``: step; role name status number total seconds notes) or a host's end
(``event``: end; ``outcome``: done with steps changed seconds, failed or refused with a ``message``). Polls are short,
so neither the agent's end nor a slow host leaves a client hanging.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_drivers.agent import record as records
from hybrid_drivers.agent.jobs import PARALLEL, Job, Jobs, Turns
from hybrid_drivers.agent.leadership import Leadership
from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.reconciler import Reconciler
from hybrid_drivers.agent.record import IM_MAD, HostRecord
from hybrid_drivers.agent.settings import read_settings
from hybrid_drivers.agent.wishes import Wish
from hybrid_drivers.errors import AgentError, ConfigError, HybridError, NoSuchObject
from hybrid_drivers.model import Host
from hybrid_drivers.oned.process import Answer, Call

POLL = 5.0  # seconds a poll waits for news
BUSY = (Phase.CONNECTING, Phase.CONFIGURING)


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What somebody asks for."""

    hosts: tuple[str, ...]
    cluster: str
    everything: bool
    check: bool

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> _Request:
        """Read a request; a mistake in it is a KeyError or a TypeError."""
        if not isinstance(asked["hosts"], list):
            raise TypeError("hosts")
        hosts = tuple(str(name) for name in asked["hosts"])
        return cls(
            hosts=hosts, cluster=str(asked["cluster"]), everything=asked["all"] is True, check=bool(asked["check"])
        )


class Configuring:
    """Answers the calls; the runs themselves are the reconciler's."""

    def __init__(self, parts: Parts, reconciler: Reconciler, leadership: Leadership) -> None:
        self._parts, self._reconciler, self._leadership = parts, reconciler, leadership
        self._jobs = Jobs(parts.clock)
        self._turns = Turns(min(PARALLEL, max(1, parts.settings.agent.workers // 4)))

    def answer(self, call: Call) -> Answer:
        """Answer one of the actions.

        Raises:
            AgentError: the request is wrong, or nothing can be done here and now; the text says why.
            OnedError: oned cannot be asked.
        """
        if call.action == "look":
            return self._look(call.argv)
        try:
            asked = json.loads(call.argv[0])
            request = _Request.of(asked) if call.action == "configure" else None
            job, since = ("", 0) if request else (str(asked["job"]), int(asked["since"]))
        except (IndexError, KeyError, TypeError, ValueError) as exc:
            raise AgentError("The agent does not understand the call: it speaks another version.") from exc
        told = self._start(request) if request else self._poll(job, since)
        return Answer(stdout=json.dumps(told).encode())

    def _look(self, hosts: Sequence[str]) -> Answer:
        """See to hosts now, not at the next sweep: somebody enabled them, of which oned tells nobody."""
        for host_id in filter(str.isdecimal, hosts):
            self._reconciler.ask(int(host_id))
        return Answer()

    def _poll(self, job_id: str, since: int) -> dict[str, object]:
        job = self._jobs.get(job_id)
        if job is None:
            raise AgentError("The agent was started anew meanwhile: run the command again to go on.")
        events, done = job.poll(since, POLL)
        return {"events": events, "done": done}

    def _start(self, asked: _Request) -> dict[str, object]:
        if not self._leadership.leads():
            raise AgentError("This front-end does not lead its zone: run this on the one that does.")
        hosts = self._wanted(asked)
        # What was changed since counts: in hybrid.yaml, in the cluster, in the entries.
        self._parts.settings = read_settings(self._parts.location.etc / "hybrid.yaml")
        self._parts.accounts.reload()
        self._reconciler.observer.reload()
        job = Job([host.id for host in hosts], asked.check, self._begin, self._parts.clock, self._turns)
        self._jobs.add(job)
        job.start()
        return {"job": job.id, "hosts": [_shown(host) for host in hosts]}

    def _wanted(self, asked: _Request) -> list[Host]:
        if not asked.hosts and not asked.cluster and not asked.everything:
            raise AgentError("No host is named: name hosts or a cluster, or ask for all.")
        hosts = self._parts.oned.hosts()
        if asked.hosts:
            return named(hosts, asked.hosts)
        ours = [host for host in hosts if host.im_mad == IM_MAD and self._can_be(records.read(host), asked.check)]
        if asked.cluster:
            cluster_id = self._cluster_id(asked.cluster)
            ours = [host for host in ours if host.cluster_id == cluster_id]
        return ours

    def _cluster_id(self, name: str) -> int:
        clusters = self._parts.oned.clusters()
        found = [one.id for one in clusters if one.name == name] or [one.id for one in clusters if str(one.id) == name]
        if not found:
            raise ConfigError(f"There is no cluster {name!r}.")
        return found[0]

    def _can_be(self, record: HostRecord, check: bool) -> bool:
        return refusal(record, check_only=check) == ""

    def _begin(self, host_id: int, wish: Wish) -> str:
        """Put the wish of a host and see to it; return why that cannot be, in one sentence."""
        try:
            host = self._parts.oned.host(host_id)
        except NoSuchObject:
            return "The host was deleted."
        except HybridError as exc:
            return str(exc)
        reason = refusal(records.read(host), check_only=wish.check_only) or self._busy(host)
        if reason:
            return reason
        # Somebody may just have started its machine: an older answer of the provider must not say that it is stopped.
        self._parts.memory(host_id).looked_from = self._parts.clock.now()
        if not self._parts.wishes.put(host_id, wish):
            return f"Host {host.name} is being configured already, by another call."
        self._reconciler.ask(host_id)
        return ""

    def _busy(self, host: Host) -> str:
        shown = self._parts.reporter.last(host.id)
        if records.read(host).ready or shown is None or shown.phase not in BUSY or shown.problem:
            return ""
        return f"Host {host.name} is being configured already" + (f": {shown.step}." if shown.step else ".")


def named(hosts: Sequence[Host], names: Sequence[str]) -> list[Host]:
    """Return the hosts called ``names``: by id, name, or the name they were created with; each once, in that order.

    Raises:
        ConfigError: one is not there, or is the friendly name of several.
    """
    found: dict[int, Host] = {}
    for name in names:
        matches = (
            [host for host in hosts if str(host.id) == name]
            or [host for host in hosts if host.name == name]
            or [host for host in hosts if host.template.vector("PROVISION").get("HOSTNAME") == name]
        )
        if not matches:
            raise ConfigError(f"There is no host {name!r}.")
        if len(matches) > 1:
            raise ConfigError(f"Several hosts were created as {name!r}: {', '.join(str(one.id) for one in matches)}.")
        found[matches[0].id] = matches[0]
    return list(found.values())


def refusal(record: HostRecord, *, check_only: bool) -> str:
    """Say why a host cannot be configured (or looked at) now, nothing when it can."""
    host, shown = record.host, record.host.template.text("PROVISION_STATE") or "new"
    if host.im_mad != IM_MAD:
        return f"Host {host.name} is not ours: its information driver is {host.im_mad!r}, not {IM_MAD!r}."
    if record.failure is not None:
        return f"Host {host.name} was given up ({record.failure.reason}): enable it to try again, or delete it."
    if record.ready:
        return ""
    failed = shown == Phase.ERROR.value and record.deploy_id and record.address
    if failed and not check_only:
        return ""
    if failed:
        return f"Host {host.name} is not READY: its configuration failed; without --check it is tried again at once."
    return f"Host {host.name} is not READY yet: {shown}."


def _shown(host: Host) -> dict[str, object]:
    friendly = host.template.vector("PROVISION").get("HOSTNAME") or host.name
    return {"id": host.id, "name": host.name, "friendly": friendly}

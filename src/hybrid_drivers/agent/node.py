"""What the agent does on a rented machine over SSH: first contact, configuration, OpenNebula's probes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hybrid_drivers.errors import HostError, HostUnreachable
from hybrid_drivers.hostconfig.configuration import Configuration
from hybrid_drivers.hostconfig.hostkeys import activate_new_key, stage_new_key
from hybrid_drivers.hostconfig.report import RunReport, StepReport
from hybrid_drivers.hostconfig.runner import Session, SshTarget, answers, connect

PROBE_CONNECT = 3.0  # seconds for a first look whether the port is open: many wait for machines that boot
CONNECT_LIMIT = 10.0  # seconds for TCP, key exchange and login
PROBE_LIMIT = 60.0  # seconds for run_monitord_client; one_im_sh gives up after 90
REMOTE_SCRIPTS = "/var/tmp/one"  # nosec B108 # noqa: S108 - OpenNebula's SCRIPTS_REMOTE_DIR, made by its own drivers too
ONEADMIN = "oneadmin"


@dataclass(frozen=True, kw_only=True)
class Probes:
    """What OpenNebula's probes are told; ``configuration`` is monitord's, as XML."""

    vm_mad: str
    host_id: int
    name: str
    configuration: bytes


PinKeys = Callable[[tuple[str, ...]], None]


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """Which host keys to accept. ``replace_key``: they went through user-data; ``written``: oned has them already."""

    pinned: tuple[str, ...]
    replace_key: bool
    written: bool = False


def configure(
    target: SshTarget,
    keys: Delivered,
    prepare: Callable[[], Configuration],
    *,
    pin: PinKeys,
    on_contact: Callable[[], None],
    on_step: Callable[[StepReport], None],
    limit: float,
) -> RunReport:
    """Connect, replace the delivered host key, and run the configuration, which ``prepare`` makes when SSH answers.

    ``pin`` writes the accepted keys to oned before the machine may show a new one, so that a crash in between
    leaves a machine whose key is known.

    Raises:
        HostError: any of its kinds.
    """
    if not answers(target, timeout=PROBE_CONNECT):
        raise HostUnreachable(f"{target.address}: no SSH on port {target.port} yet")
    target = replace(target, host_keys=keys.pinned)
    with connect(target, timeout=CONNECT_LIMIT) as session:
        on_contact()
        if not keys.replace_key:
            if not keys.written:
                pin((session.host_key,))  # published, or trusted on first use: from now on this one
            return prepare().run(session, on_step, timeout=limit)
        fresh = stage_new_key(session)
        pin((session.host_key, fresh))
        activate_new_key(session)
    target = replace(target, host_keys=(fresh,))
    with connect(target, timeout=CONNECT_LIMIT) as session:
        pin((fresh,))
        return prepare().run(session, on_step, timeout=limit)


def run(
    target: SshTarget,
    configuration: Configuration,
    on_step: Callable[[StepReport], None],
    *,
    check_only: bool,
    limit: float,
) -> RunReport:
    """Run a configuration, or with ``check_only`` look what it would change, on a node whose host key is known.

    Raises:
        HostError: any of its kinds.
        ConfigError: Ansible refuses a playbook of its own.
    """
    if not configuration.parts:
        return RunReport(steps=(), seconds=0.0)
    with connect(target, timeout=CONNECT_LIMIT) as session:
        return configuration.run(session, on_step, check_only=check_only, timeout=limit)


def sync_remotes(target: SshTarget, remotes: Path) -> None:
    """Copy the front-end's ``remotes`` to the node, as OpenNebula's own drivers do.

    Raises:
        HostError: any of its kinds.
    """
    with connect(target, timeout=CONNECT_LIMIT) as session:
        session.put_tree(remotes, REMOTE_SCRIPTS, owner=ONEADMIN)


def start_probes(target: SshTarget, probes: Probes) -> bytes:
    """Start ``run_monitord_client`` as oneadmin and return its ``<MONITOR_MESSAGES>`` document.

    Raises:
        ProbesMissing: the remotes are not on the node (yet).
        HostError: any of its kinds.
    """
    with connect(replace(target, user=ONEADMIN), timeout=CONNECT_LIMIT) as session:
        return _probe(session, "run_monitord_client", probes)


def stop_probes(target: SshTarget, probes: Probes) -> None:
    """Stop what :func:`start_probes` left running.

    Raises:
        HostError: any of its kinds.
    """
    with connect(replace(target, user=ONEADMIN), timeout=CONNECT_LIMIT) as session:
        _probe(session, "stop_monitord_client", probes)


class ProbesMissing(HostError):
    """OpenNebula's remotes are not on the node."""


def _probe(session: Session, program: str, probes: Probes) -> bytes:
    command = f"{REMOTE_SCRIPTS}/im/{program} {_word(probes.vm_mad)} {probes.host_id} {_word(probes.name)}"
    result = session.run(command, probes.configuration, timeout=PROBE_LIMIT)
    if result.code == 127:  # the shell's word for a program that is not there
        raise ProbesMissing(f"{session.host}: {REMOTE_SCRIPTS}/im/{program} is not there")
    if result.code != 0:
        reason = " ".join((result.stdout + " " + result.stderr).split())[-300:] or "no output"
        raise HostError(f"{session.host}: {program} failed with exit code {result.code}: {reason}")
    return result.stdout.encode()


def _word(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"

"""What a host's template says about its machine, read into types and written back.

The attributes are DESIGN 2's. PROVISION is a vector that oned replaces whole, so every write of it repeats what the
host itself had; it is therefore read decrypted (``one.host.info`` with the decrypt flag), or an encrypted value
would be encrypted again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hybrid_drivers.agent import remedy
from hybrid_drivers.agent.observed import Failure, Intent, Phase
from hybrid_drivers.model import Host, Machine, Template, Value
from hybrid_drivers.oned.template import readable

IM_MAD = "provision"
GROWN = "GROWTH"  # the vector on hosts that growing made
ASLEEP = "GROWTH_DISABLED"  # when growing disabled the host to give it back, unix seconds
_LARGEST = 1e15  # of numbers that are read: seconds, money, KiB
OF_THE_MACHINE = (  # gone with it
    "PROVISION_ADDRESS", "PROVISION_PEERS", "PROVISION_DRIFT", "PROVISION_MACHINE_DRIFT", "PROVISION_SWITCHED_ON",
    "PROVISION_REPLACING",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class HostRecord:
    """The state we keep in a host object."""

    host: Host
    provision: Mapping[str, str]
    intent: Intent | None
    failure: Failure | None
    configured: bool
    ready: bool
    host_keys: tuple[str, ...]
    address: str  # PROVISION_ADDRESS: where the machine answers, known since its configuration began
    misconfigured: bool = False  # the configuration failed when it was run again on the READY host
    ready_at: float = 0.0  # unix seconds
    peers: str = ""  # PROVISION_PEERS: with which hosts of its cluster it was configured, empty when that is all one
    drift: str = ""  # PROVISION_DRIFT
    noted: Mapping[str, str]  # PROVISION_MACHINE: what the machine was when the host became READY
    difference: str = ""  # PROVISION_MACHINE_DRIFT: in what it differs from that
    switched_on: tuple[float, ...] = ()  # PROVISION_SWITCHED_ON, PROVISION_REPLACED: when we did that; unix seconds
    replaced: tuple[float, ...] = ()
    replacing: str = ""  # PROVISION_REPLACING: the machine that is to be given back, for another one to come
    stopped: bool = False  # PROVISION_STATE says that the READY host's machine stopped
    since: float  # PROVISION_SINCE: when the present attempt began, or READY was reached; unix seconds

    @property
    def deploy_id(self) -> str:
        """Return the provider's id of the machine, empty while there is none."""
        return self.provision.get("DEPLOY_ID", "")

    @property
    def price(self) -> float | None:
        """Return what the host costs an hour, None when nobody tells."""
        return price_of(self.host.template)

    @property
    def friendly_name(self) -> str:
        """Return the name the host was created with, whatever it is called now."""
        return self.provision.get("HOSTNAME") or self.host.name


def price_of(template: Template) -> float | None:
    """Return a host's COST_HOUR; None when there is none, or it is no amount of money."""
    price = number(template.text("COST_HOUR"))
    return price if price is not None and price >= 0 else None


def number(text: str) -> float | None:
    """Return an attribute as a number, None when it is none, or none of this world: people can write anything there."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if abs(found) < _LARGEST else None


def read(host: Host) -> HostRecord:
    """Read a host's attributes; a damaged intent or failure counts as none."""
    template = host.template
    return HostRecord(
        host=host,
        provision=template.vector("PROVISION"),
        intent=_intent(template.vector("PROVISION_INTENT")),
        failure=_failure(template.vector("PROVISION_FAILURE")),
        configured=template.text("PROVISION_CONFIGURATION_STATUS") == "configured",
        ready=template.text("PROVISION_READY") != "",
        host_keys=tuple(k.strip() for k in template.text("PROVISION_HOST_KEY").split(",") if k.strip()),
        address=template.text("PROVISION_ADDRESS"),
        misconfigured=template.text("PROVISION_CONFIGURATION_STATUS") == "error",
        ready_at=number(template.text("PROVISION_READY")) or 0.0,
        peers=template.text("PROVISION_PEERS"),
        drift=template.text("PROVISION_DRIFT"),
        noted=template.vector("PROVISION_MACHINE"),
        difference=template.text("PROVISION_MACHINE_DRIFT"),
        switched_on=_times(template.text("PROVISION_SWITCHED_ON")),
        replaced=_times(template.text("PROVISION_REPLACED")),
        replacing=template.text("PROVISION_REPLACING"),
        stopped=template.text("PROVISION_STATE") == Phase.STOPPED.value,
        since=number(template.text("PROVISION_SINCE")) or 0.0,
    )


def _intent(fields: Mapping[str, str]) -> Intent | None:
    since = number(fields.get("SINCE", ""))
    if since is None:
        return None
    try:
        return Intent(
            token=fields["TOKEN"],
            attempt=int(fields["ATTEMPT"]),
            since=since,
            spec_hash=fields.get("SPEC_HASH", ""),
            agent=fields.get("AGENT", ""),
            host_key=fields.get("HOST_KEY", ""),
        )
    except (KeyError, ValueError):
        return None


def _times(text: str) -> tuple[float, ...]:
    return tuple(time for time in map(number, text.split(",")) if time)


def _failure(fields: Mapping[str, str]) -> Failure | None:
    if "REASON" not in fields:
        return None
    until_empty = fields.get("UNTIL_EMPTY", "") == "YES"
    return Failure(reason=fields["REASON"], spec_hash=fields.get("SPEC_HASH", ""), until_empty=until_empty)


# --- writing ----------------------------------------------------------------------------------------------------


def with_intent(record: HostRecord, intent: Intent) -> Template:
    """Open an intent: no machine is recorded with it, and an earlier failure is over."""
    provision = {k: v for k, v in record.provision.items() if k not in ("DEPLOY_ID", "RENTED_FROM")}
    fields = {
        "TOKEN": intent.token,
        "ATTEMPT": str(intent.attempt),
        "SINCE": f"{intent.since:.3f}",
        "SPEC_HASH": intent.spec_hash,
        "AGENT": intent.agent,
        "HOST_KEY": intent.host_key,
    }
    pairs: list[tuple[str, Value]] = [("PROVISION_INTENT", fields), *no_failure(record)]
    if "DEPLOY_ID" in record.provision:
        pairs += [("PROVISION", provision), ("PROVISION_CONFIGURATION_STATUS", "pending"), ("PROVISION_HOST_KEY", "")]
        pairs.append(("PROVISION_READY", ""))
        pairs += [(name, "") for name in OF_THE_MACHINE if record.host.template.text(name)]
    return Template([*pairs, *state(Phase.DEPLOYING, since=intent.since)])


def taken_over(record: HostRecord, intent: Intent) -> Template:
    """Put this agent's name on another agent's intent; everything else stays."""
    fields = {**record.host.template.vector("PROVISION_INTENT"), "AGENT": intent.agent}
    fields["SINCE"] = f"{intent.since:.3f}"
    return Template([("PROVISION_INTENT", fields)])


def with_machine(record: HostRecord, machine: Machine, provider: str, driver: str) -> Template:
    """Record the machine, and by which provider entry it can be given back.

    A READY host stays so: its PROVISION was replaced by somebody, and its machine found again by the tag.
    """
    provision = {**record.provision, "DEPLOY_ID": machine.id}
    if "DRIVER" not in provision:  # 5.12's inline credentials stay as they are
        provision["RENTED_FROM"] = provider
    provision.setdefault("HOSTNAME", (machine.tags.name if machine.tags else "") or record.host.name)
    phase = Phase.READY if record.ready else Phase.DEPLOYING
    return Template([("PROVISION", provision), ("PM_MAD", driver), *state(phase)])


def with_failure(reason: str, spec_hash: str, now: float, *, until_empty: bool = False) -> Template:
    """Say why nothing more is tried; the time tells this failure from the next, which may come within a second."""
    fields = {"REASON": readable(reason), "SPEC_HASH": spec_hash, "AT": f"{now:.3f}"}
    if until_empty:
        fields["UNTIL_EMPTY"] = "YES"
    return Template([("PROVISION_FAILURE", fields), *state(Phase.ERROR, problem=reason)])


def forgiven(record: HostRecord, now: float, *, replaces: bool = False) -> Template:
    """Clear a failure so that the host is worked on again; all waits begin anew, and so does a READY host.

    ``replaces``: a lost machine is replaced by policy, which is counted.

    Its address is known again, and the host a peer of the others, when its machine has been found there.
    """
    begun: list[tuple[str, Value]] = [("PROVISION_READY", "")]
    if record.address:
        begun.append(("PROVISION_ADDRESS", ""))
    if replaces:
        begun.append(_one_more("PROVISION_REPLACED", record.replaced, now, remedy.DAY))
    return Template([*no_failure(record), *begun, *state(Phase.PENDING, since=now)])


def as_replaced(record: HostRecord, now: float, reason: str) -> Template:
    """Say that the machine of a READY host is given up for another one; it is not READY any more."""
    step = f"machine {record.deploy_id} is to be replaced"
    pairs: list[tuple[str, Value]] = [("PROVISION_READY", ""), ("PROVISION_REPLACING", record.deploy_id)]
    if record.address:
        pairs.append(("PROVISION_ADDRESS", ""))  # nobody shall send to it any more
    counted = _one_more("PROVISION_REPLACED", record.replaced, now, remedy.DAY)
    return Template([*pairs, counted, *state(Phase.DELETING, step=step, problem=reason, since=now)])


def as_switched_on(record: HostRecord, now: float, step: str, problem: str) -> Template:
    """Say that the machine of a READY host is about to be switched on, and count it."""
    counted = _one_more("PROVISION_SWITCHED_ON", record.switched_on, now, remedy.HOUR)
    return Template([counted, *state(Phase.STOPPED, step=step, problem=problem)])


def _one_more(name: str, times: tuple[float, ...], now: float, within: float) -> tuple[str, Value]:
    """Return an attribute of times with ``now`` added, and without those that do not count any more."""
    return name, ",".join(f"{time:.0f}" for time in (*remedy.recent(times, now, within), now))


def with_machine_noted(machine: Machine | None, difference: str) -> Template:
    """Record what the machine is, when it is given, and in what it differs from what was recorded."""
    noted: list[tuple[str, Value]] = [("PROVISION_MACHINE", remedy.facts(machine))] if machine else []
    return Template([*noted, ("PROVISION_MACHINE_DRIFT", readable(difference))])


def no_failure(record: HostRecord) -> list[tuple[str, Value]]:
    """Return what clears an earlier failure, nothing when there is none (an empty vector cannot be written)."""
    if record.failure is None:
        return []
    return [("PROVISION_FAILURE", {"CLEARED": "YES"})]


def with_host_keys(keys: tuple[str, ...]) -> Template:
    """Pin the keys the machine may show from now on."""
    return Template([("PROVISION_HOST_KEY", ",".join(keys))])


def with_address(address: str) -> Template:
    """Say where the machine answers: from now on it is a peer of the other hosts of its cluster."""
    return Template([("PROVISION_ADDRESS", address)])


def as_configured(record: HostRecord, peers: str) -> Template:
    """Say that configuration is done, and with which peers; the first attribute and its value are OneProvision's."""
    done: list[tuple[str, Value]] = [("PROVISION_CONFIGURATION_STATUS", "configured")]
    if peers != record.peers:
        done.append(("PROVISION_PEERS", peers))
    if record.drift:
        done.append(("PROVISION_DRIFT", ""))
    return Template(done)


def as_misconfigured(problem: str) -> Template:
    """Say that the configuration of a READY host failed when it was run again; the host goes on."""
    return Template([("PROVISION_CONFIGURATION_STATUS", "error"), ("PROVISION_ERROR", readable(problem))])


def with_peers(peers: str) -> Template:
    """Say with which peers the host is configured now."""
    return Template([("PROVISION_PEERS", peers)])


def with_drift(text: str) -> Template:
    """Say what differs from the configuration, nothing when nothing does."""
    return Template([("PROVISION_DRIFT", text)])


def as_ready(record: HostRecord, now: float, machine: Machine, address: str, connection: Mapping[str, str]) -> Template:
    """Say that the machine is a working node, and how it is reached: that must not depend on the provider any more."""
    reached: list[tuple[str, Value]] = [("PROVISION_ADDRESS", address)]
    if connection:
        reached.append(("PROVISION_CONNECTION", connection))
    ready: list[tuple[str, Value]] = [("PROVISION_READY", f"{now:.0f}"), ("PROVISION_MACHINE", remedy.facts(machine))]
    if record.replacing:  # it came back before it was given back
        ready.append(("PROVISION_REPLACING", ""))
    return Template([*ready, *reached, *no_failure(record), *state(Phase.READY, since=now)])


def state(phase: Phase, *, step: str = "", problem: str = "", since: float | None = None) -> list[tuple[str, Value]]:
    """Return the attributes people look at."""
    shown: list[tuple[str, Value]] = [
        ("PROVISION_STATE", phase.value),
        ("PROVISION_STEP", readable(step)),
        ("PROVISION_ERROR", readable(problem)),
    ]
    if since is not None:
        shown.append(("PROVISION_SINCE", f"{since:.0f}"))
    return shown

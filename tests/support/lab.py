"""Laboratories for the tests of a host's life: small times, secrets of their own, and a look for them at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from hybrid_drivers.agent.keys import FrontEndKeys
from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.agent.userdata import build
from hybrid_drivers.clock import SystemClock
from hybrid_drivers.model import CreateRequest, Host, HostState, Machine, MachineTags
from hybrid_drivers.oned.api import read_session
from hybrid_drivers.providers import entries, registry
from hybrid_drivers.providers.base import Provider
from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.lab import ENTRIES, Lab, LabOptions
from hybrid_drivers.sandbox.machines.seed import new_host_key

T = TypeVar("T")
PROVIDERS = ("packet", "ec2")
# What the agent does by itself, whatever the provider, is tried with one of them; `make long` tries it with all.
ONE_PROVIDER = ("packet", pytest.param("ec2", marks=pytest.mark.long))
WAY = (Phase.DEPLOYING, Phase.BOOTING, Phase.CONNECTING, Phase.CONFIGURING, Phase.READY)
LIMIT = 120.0  # seconds: what takes two on an idle computer takes a minute where others have work, too
LIMITS: Mapping[str, float] = {"settle": 1.2, "poll": 0.1}
AGENT: Mapping[str, object] = {"claim_delay": 0.1, "sweep": 1, "quarantine": 1, "log_level": "debug"}
CREATE = {"packet": "POST /projects/{id}/devices", "ec2": "RunInstances"}
DELETE = {"packet": "DELETE /devices/{id}", "ec2": "TerminateInstances"}


def quick_knobs(**changes: object) -> Knobs:
    """Return knobs of a provider that is quick unless told otherwise."""
    knobs = Knobs(queued=0.02, provisioning=0.1, booting=0.02, slow_delete=0.05)
    knobs.change(changes)
    return knobs


@contextmanager
def quick_lab(
    provider: str = "packet",
    *,
    agent: Mapping[str, object] = AGENT,
    limits: Mapping[str, float] | None = None,
    provision: Mapping[str, str] | None = None,
    step_delay: float = 0.0,
    secret: str = "",
    **knobs: Any,
) -> Iterator[Lab]:
    """Yield a laboratory with small times; at its end no secret may have come to light.

    ``agent`` and ``limits`` are laid over the quick ones; ``secret`` is the account's; other names are knobs of the
    provider.
    """
    options = LabOptions(
        provider=provider,
        limits={**LIMITS, **(limits or {})},
        provision={"PLAYBOOK": "dummy", **(provision or {})},
        knobs=quick_knobs(**knobs),
        step_delay=step_delay,
        secret=secret,
    )
    with Lab(options) as lab:
        lines = "".join(f"  {name}: {value}\n" for name, value in {**AGENT, **agent}.items())
        (lab.location.etc / "hybrid.yaml").write_text(f"agent:\n{lines}")
        yield lab
        no_secret_came_out(lab)


# --- what is waited for -----------------------------------------------------------------------------------------------


def told(lab: Lab, host_id: int, name: str) -> str:
    """Return an attribute of a host."""
    return lab.host(host_id).template.text(name)


def wait_told(lab: Lab, host_id: int, name: str, part: str, timeout: float = LIMIT) -> str:
    """Wait until an attribute of a host holds ``part``; return all of it as it was then."""

    def found() -> str:
        text = told(lab, host_id, name)
        return text if part in text else ""

    return lab.wait(found, timeout)


def wait_phase(lab: Lab, host_id: int, phase: Phase, timeout: float = LIMIT) -> None:
    """Wait until a host shows ``phase``, or one after it on the way to READY: a busy computer may miss a short one."""
    wanted = {one.value for one in (WAY[WAY.index(phase) :] if phase in WAY else (phase,))}
    lab.wait(lambda: told(lab, host_id, "PROVISION_STATE") in wanted, timeout)


def wait_step(lab: Lab, host_id: int, least: int, timeout: float = LIMIT) -> None:
    """Wait until the configuration of a host is at this step or further: a step may last no longer than a look."""
    lab.wait(lambda: step_of(lab, host_id) >= least, timeout)


def step_of(lab: Lab, host_id: int) -> int:
    """Return the number of the step the configuration is at, 1000 when the host is READY."""
    template = lab.host(host_id).template
    number = template.text("PROVISION_STEP").rpartition(" ")[2].partition("/")[0]
    return 1000 if template.text("PROVISION_READY") else int(number) if number.isdigit() else 0


def wait_failed(lab: Lab, host_id: int, timeout: float = LIMIT) -> Host:
    """Wait until a host is in ERROR, in our words and in oned's."""

    def failed() -> Host | None:
        host = lab.host(host_id)
        ours = host.template.text("PROVISION_STATE") == Phase.ERROR.value
        return host if ours and host.state is HostState.ERROR else None

    return _found(lab.wait(failed, timeout))


def calls(lab: Lab, names: Mapping[str, str]) -> int:
    """Return how often the provider was asked to create (``CREATE``) or delete (``DELETE``)."""
    return lab.simulator.calls.get(names[lab.options.provider], 0)


def give_back(lab: Lab, *host_ids: int) -> None:
    """Look for secrets, delete the hosts, and wait until nothing is left."""
    no_secret_came_out(lab)
    for host_id in host_ids:
        lab.oned.delete_host(host_id)
    lab.wait_empty()


def onehybrid(lab: Lab, *words: str, code: int = 0) -> str:
    """Run ``onehybrid`` on the front-end and return what it printed; it must end with ``code``."""
    done = lab.run("onehybrid", *words)
    if done.returncode != code:  # a driver call of monitord may be starting or using an agent at the same moment
        done = lab.run("onehybrid", *words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


# --- other people's machines ------------------------------------------------------------------------------------------


def provider_of(lab: Lab) -> Provider:
    """Return a client of the provider, beside the agent's."""
    loaded = entries.load_entries(lab.location.etc / "providers.d")
    entry = loaded.entries[ENTRIES[lab.options.provider]]
    return registry.make_provider(entry, SystemClock(), state_dir=lab.folder)


def rent(lab: Lab, tags: MachineTags) -> Machine:
    """Rent a machine past the agent, with any tags."""
    provider = provider_of(lab)
    attributes = {"INSTANCETYPE": "c5.metal", "AMI": getattr(lab.simulator, "image", "")}
    if not isinstance(lab.simulator, Ec2Simulator):
        attributes = {"PLAN": "c3.small.x86", "OS": "debian_12", "METRO": "am"}
    return provider.create(
        CreateRequest(
            token=tags.token,
            tags=tags,
            hostname="other",
            placement=provider.placements(attributes)[0],
            attributes=attributes,
            user_data="#cloud-config\n{}\n",
        )
    )


def own_machines(lab: Lab, name: str, count: int) -> None:
    """Switch machines on that nobody rents, and list them in the entry ``name`` of the static driver."""
    keys = FrontEndKeys(lab.location.state, lab.frontend.location).public_lines({})
    rows = []
    for number in range(count):
        private, public = new_host_key()
        user_data = build(host_private=private, host_public=public, authorized=keys)
        addresses = lab.machines.prepare(f"own-{number}", f"own{number}", user_data)
        lab.machines.power_on(f"own-{number}")
        rows.append({"address": addresses.public_v4, "name": f"own{number}", "host_key": public})
    entry = {"driver": "static", "machines": rows, "remote_port": lab.machines.ssh_port, "limits": dict(LIMITS)}
    lab.write_entry(name, entry)


# --- secrets ----------------------------------------------------------------------------------------------------------


def no_secret_came_out(lab: Lab) -> None:
    """Look for every secret of the laboratory in all that people and monitoring can see."""
    seen = {path.name: path.read_text(errors="replace") for path in _said(lab)}
    seen["drivers' output"] = json.dumps([run.output for run in list(lab.frontend.events)])
    for host_id in list(lab.frontend.store.hosts):
        seen[f"host {host_id}"] = lab.frontend.host_xml(host_id)
    for place, text in seen.items():
        for kind, secret in _secrets(lab).items():
            assert secret not in text, f"{kind} came out in {place}"


def _said(lab: Lab) -> list[Path]:
    var = lab.frontend.location / "var"
    logs = [*var.glob("*.log*"), *lab.location.state.glob("*.out"), *lab.location.state.glob("departures/*")]
    return [path for path in logs if path.is_file()]


def _secrets(lab: Lab) -> dict[str, str]:
    found = {"oneadmin's password": read_session(lab.location).reveal().partition(":")[2], "a key": "PRIVATE KEY"}
    if isinstance(lab.simulator, Ec2Simulator):
        return {**found, "the secret key": lab.simulator.secret_access_key}
    return {**found, "the token": lab.simulator.token}


def _found(value: T | None) -> T:
    assert value is not None  # Lab.wait returns true values only
    return value

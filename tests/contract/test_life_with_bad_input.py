"""A host whose request cannot be carried out as it stands: one sentence says why, nothing is rented, and it goes on by
itself once the cause is gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import pytest
from tests.support.lab import CREATE, ONE_PROVIDER, PROVIDERS, calls, give_back, onehybrid, quick_lab, told, wait_told

from hybrid_drivers.model import HostState, Template
from hybrid_drivers.sandbox.lab import ENTRIES, Lab

SECRET = {"packet": "token", "ec2": "secret_key"}


def _entry(lab: Lab, **changes: object) -> None:
    lab.write_entry(ENTRIES[lab.options.provider], {**lab.entry(), **changes})


def _without_provision(lab: Lab) -> None:
    lab.oned.update_cluster(lab.cluster_id, Template([("NOTE", "empty")]), append=False)


def _append(lab: Lab, line: str) -> None:
    path = lab.location.etc / f"providers.d/{ENTRIES[lab.options.provider]}.yaml"
    path.write_text(path.read_text() + line)


def _readable_by_others(lab: Lab) -> None:
    os.chmod(lab.location.etc / f"providers.d/{ENTRIES[lab.options.provider]}.yaml", 0o644)


def _mended(lab: Lab) -> None:
    path = lab.location.etc / f"providers.d/{ENTRIES[lab.options.provider]}.yaml"
    os.chmod(path, 0o600)
    _entry(lab)
    lab.provision({"PLAYBOOK": "dummy"})


CAUSES: Mapping[str, tuple[Callable[[Lab], object], tuple[str, ...]]] = {
    "no PROVISION anywhere": (_without_provision, ("no PROVISION on host edge1 or cluster edge", "PROVIDER=")),
    "unknown provider": (
        lambda lab: lab.provision({"PROVIDER": "packet-nowhere"}),
        ("there is no provider 'packet-nowhere'", "known are"),
    ),
    "unknown attribute": (lambda lab: lab.provision({"PLAYBOOK": "dummy", "PLANE": "c3"}), ("PLANE",)),
    "unknown playbook": (lambda lab: lab.provision({"PLAYBOOK": "defualt"}), ("defualt", "known are")),
    "unknown key in the file": (lambda lab: _append(lab, "tokken: x\n"), ("providers.d/", ".yaml:", "'tokken'")),
    "not YAML": (lambda lab: _append(lab, "a: [\n"), ("providers.d/", ".yaml")),
    "readable by others": (_readable_by_others, ("providers.d/", "chmod 600")),
}


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.replace(" ", "_"))
def test_a_wrong_request_is_told_and_goes_on_when_mended(cause: str) -> None:
    spoil, words = CAUSES[cause]
    with quick_lab() as lab:
        spoil(lab)
        host_id = lab.create("edge1")
        error = wait_told(lab, host_id, "PROVISION_ERROR", words[0])
        assert all(word in error for word in words), error
        lab.wait(lambda: told(lab, host_id, "PROVISION_STATE") == "PENDING")
        lab.wait(lambda: lab.host(host_id).state is HostState.MONITORED)
        assert calls(lab, CREATE) == 0
        _mended(lab)
        onehybrid(lab, "agent", "reload")
        lab.wait_ready(host_id)
        assert told(lab, host_id, "PROVISION_ERROR") == ""
        give_back(lab, host_id)
        assert lab.made() == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_wrong_secret_is_told_without_it_and_goes_on_when_mended(provider: str) -> None:
    wrong = "wrongCANARY0123456789wrongCANARY01234567"
    with quick_lab(provider) as lab:
        _entry(lab, **{SECRET[provider]: wrong})
        host_id = lab.create("edge1")
        lab.wait(lambda: told(lab, host_id, "PROVISION_ERROR"))
        error = told(lab, host_id, "PROVISION_ERROR")
        assert ENTRIES[provider] in error
        assert wrong not in error + lab.log() + lab.frontend.host_xml(host_id)
        assert lab.made() == 0
        _mended(lab)
        onehybrid(lab, "agent", "reload")
        lab.wait_ready(host_id)
        give_back(lab, host_id)


@pytest.mark.parametrize("provider", ONE_PROVIDER)
def test_the_cluster_may_change_under_ready_hosts(provider: str) -> None:
    with quick_lab(provider) as lab:
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        lab.write_entry("pretended", {"driver": "dummy"})
        lab.oned.update_cluster(lab.cluster_id, Template([("PROVISION", {"PROVIDER": "pretended"})]))
        lab.kill_agent()
        before = len(lab.frontend.events)
        lab.silence()
        lab.wait(lambda: len(lab.frontend.events) > before)
        assert lab.frontend.events[-1].code == 0, lab.frontend.events[-1].output
        lab.wait_ready(host_id)
        assert (lab.host(host_id).state, told(lab, host_id, "PROVISION_ERROR")) == (HostState.MONITORED, "")
        give_back(lab, host_id)


def test_one_wrong_entry_does_not_keep_others_from_giving_back() -> None:
    with quick_lab() as lab:
        lab.write_entry("pretended", {"driver": "dummy", "network": "not a network"})
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        give_back(lab, host_id)


def test_credentials_within_provision_work_and_outlive_the_host() -> None:
    """5.12's way: DRIVER and credentials in PROVISION; they are kept as a document, which oned encrypts."""
    with quick_lab() as lab:
        entry = lab.entry()
        (lab.location.etc / "providers.d/packet-ams.yaml").unlink()
        inline = {f"PACKET_{name.upper()}": str(entry[name]) for name in ("token", "project", "endpoint")}
        rest = {"DRIVER": "packet", "PLAN": "c3.small.x86", "OS": "debian_12", "METRO": "am", "PLAYBOOK": "dummy"}
        port = {"REMOTE_PORT": str(lab.machines.ssh_port)}
        attributes = Template([("PROVISION", {**inline, **rest}), ("PROVISION_CONNECTION", port)])
        lab.oned.update_cluster(lab.cluster_id, attributes)
        host_id = lab.create("edge1")
        lab.wait_ready(host_id)
        lab.oned.delete_host(host_id)
        lab.wait(lambda: not lab.alive())
        assert lab.made() == 1

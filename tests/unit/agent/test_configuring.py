"""Which hosts ``onehybrid configure`` means, and which are refused in a sentence."""

from __future__ import annotations

import re
from typing import Any, cast
from unittest import mock

import pytest

from hybrid_drivers.agent.configuring import Configuring, named, refusal
from hybrid_drivers.agent.record import read
from hybrid_drivers.errors import AgentError, ConfigError
from hybrid_drivers.model import Host, HostState, Template
from hybrid_drivers.oned.process import Call


def host(number: int, name: str, *pairs: tuple[str, object], im_mad: str = "provision") -> Host:
    template = Template(cast(Any, pairs))
    state = HostState.MONITORED
    return Host(id=number, name=name, state=state, im_mad=im_mad, vm_mad="kvm", cluster_id=0, template=template)


def created_as(name: str) -> tuple[str, object]:
    return ("PROVISION", {"HOSTNAME": name, "DEPLOY_ID": "m"})


HOSTS = [
    host(1, "10.0.0.1", created_as("edge1")),
    host(2, "10.0.0.2", created_as("same")),
    host(3, "10.0.0.3", created_as("same")),
    host(4, "1", created_as("odd")),
]


def test_a_host_is_meant_by_id_name_or_the_name_it_was_created_with() -> None:
    assert [one.id for one in named(HOSTS, ["10.0.0.2", "edge1", "1", "3"])] == [2, 1, 3]


@pytest.mark.parametrize(("name", "told"), [("edge9", "no host 'edge9'"), ("same", "'same': 2, 3")])
def test_who_is_not_meant_clearly_is_told(name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        named(HOSTS, [name])


FAILED = (("PROVISION_STATE", "ERROR"), ("PROVISION_ADDRESS", "10.0.0.1"), created_as("edge1"))


@pytest.mark.parametrize(
    ("pairs", "check_only", "told"),
    [
        ((("PROVISION_READY", "5"),), False, ""),
        ((("PROVISION_READY", "5"),), True, ""),
        (FAILED, False, ""),
        (FAILED, True, "without --check"),
        (FAILED[:1], False, "not READY yet: ERROR"),
        ((("PROVISION_STATE", "BOOTING"),), False, "not READY yet: BOOTING"),
        ((), False, "not READY yet: new"),
        ((("PROVISION_FAILURE", {"REASON": "quota", "SPEC_HASH": "s"}),), False, r"given up \(quota\)"),
    ],
)
def test_refusals(pairs: tuple[tuple[str, object], ...], check_only: bool, told: str) -> None:
    reason = refusal(read(host(1, "edge1", *pairs)), check_only=check_only)
    assert bool(reason) == bool(told)
    assert re.search(told, reason)


def test_other_peoples_hosts_are_left_alone() -> None:
    assert "is not ours" in refusal(read(host(1, "kvm1", ("PROVISION_READY", "5"), im_mad="kvm")), check_only=True)


def answer(oned: Any, text: str) -> None:
    parts = mock.Mock(oned=oned)
    parts.settings.agent.workers = 8
    configuring = Configuring(parts, mock.Mock(), mock.Mock())
    configuring.answer(Call(family="agent", driver="", action="configure", argv=(text,)))


EMPTY = '{"hosts": [], "cluster": "", "all": %s, "check": true}'


@pytest.mark.parametrize(
    ("text", "told"),
    [(EMPTY % "false", "No host is named"), ("[]", "another version"), ('{"hosts": "edge1"}', "another version")],
)
def test_requests_that_mean_nothing_are_refused(text: str, told: str) -> None:
    with pytest.raises(AgentError, match=told):
        answer(mock.Mock(spec=[]), text)


def test_who_enabled_hosts_has_them_looked_at() -> None:
    reconciler, parts = mock.Mock(), mock.Mock()
    parts.settings.agent.workers = 8
    configuring = Configuring(parts, reconciler, mock.Mock())
    configuring.answer(Call(family="agent", driver="", action="look", argv=("7", "x", "-1", "12")))
    assert reconciler.ask.mock_calls == [mock.call(7), mock.call(12)]


def test_a_mistake_of_ours_is_not_taken_for_another_version() -> None:
    oned = mock.Mock()
    oned.hosts.side_effect = KeyError("ID")
    with pytest.raises(KeyError):
        answer(oned, EMPTY % "true")

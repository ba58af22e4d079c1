"""What a host should be: who may say something, who wins, and what is checked before money is spent."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from tests.support.agent_fakes import VirtualClock

from hybrid_drivers.agent.accounts import Account, Accounts
from hybrid_drivers.agent.observed import Remedy
from hybrid_drivers.agent.settings import Settings
from hybrid_drivers.agent.spec import Spec, resolve
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Cluster, Host, HostState, Placement, Template, Value
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.base import ProviderEntry

Vector = Mapping[str, str]
NOTHING: Vector = {}


class Book:
    """Stands for ``Accounts``: dummy accounts by name; what is asked with is kept in ``asked``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, dict[str, str]()
        self.entry = ProviderEntry(
            name="acme", driver="dummy", defaults={"OS": "debian_12", "METRO": "am"}, settings={"remote_port": "2222"}
        )

    def for_attributes(self, attributes: Vector, where: str) -> tuple[Account, dict[str, str]]:
        self.asked = dict(attributes)
        provider = registry.make_provider(self.entry, VirtualClock(), state_dir=self.folder)
        left = {k: v for k, v in attributes.items() if k not in ("PROVIDER", "RENTED_FROM", "DRIVER")}
        return Account(self.entry, provider, "owner", VirtualClock()), left


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def spec(
    book: Book,
    *,
    host: Vector = NOTHING,
    cluster: Vector = NOTHING,
    settings: Settings | None = None,
    more: tuple[tuple[str, Value], ...] = (),
    shared: tuple[tuple[str, Value], ...] = (),
) -> Spec:
    """Resolve a host with these PROVISION vectors, and ``more`` (host's) and ``shared`` (cluster's) attributes."""

    def template(vector: Vector, others: tuple[tuple[str, Value], ...]) -> Template:
        return Template([*([("PROVISION", vector)] if vector else []), *others])

    one = Host(
        id=7,
        name="edge1",
        state=HostState.INIT,
        im_mad="provision",
        vm_mad="kvm",
        cluster_id=100,
        template=template(host, more),
    )
    group = Cluster(id=100, name="edge", host_ids=(7,), template=template(cluster, shared))
    return resolve(one, group, settings or Settings(), cast(Accounts, book))


def test_a_host_that_growing_makes_is_not_rented_before_it_is_in_its_cluster(book: Book) -> None:
    """It is made in the default cluster, which may have a provider of its own; its maker may be killed there."""
    grown: tuple[tuple[str, Value], ...] = (("GROWTH", {"CLUSTER_ID": "104"}),)
    with pytest.raises(ConfigError, match="host edge1 is being made for cluster 104 and not in it yet"):
        spec(book, cluster={"PROVIDER": "acme"}, host={"PLAN": "p"}, more=grown)
    assert spec(book, cluster={"PROVIDER": "acme"}, host={"PLAN": "p", "DEPLOY_ID": "m-1"}, more=grown)
    here: tuple[tuple[str, Value], ...] = (("GROWTH", {"CLUSTER_ID": "100"}),)
    assert spec(book, cluster={"PROVIDER": "acme"}, host={"PLAN": "p"}, more=here)


def encoded(yaml: str) -> str:
    return base64.b64encode(yaml.encode()).decode()


# --- who wins ---------------------------------------------------------------------------------------------------------


def test_host_over_cluster_over_entry_over_hybrid_yaml(book: Book) -> None:
    found = spec(
        book,
        host={"PLAN": "of-host"},
        cluster={"PROVIDER": "acme", "PLAN": "of-cluster", "METRO": "of-cluster"},
        settings=Settings(provision={"PLAYBOOK": "dummy"}, connection={"REMOTE_USER": "admin"}),
    )
    assert found.attributes == {"PLAN": "of-host", "METRO": "of-cluster", "OS": "debian_12", "PLAYBOOK": "dummy"}
    assert found.plan.placements == (Placement(plan="of-host", place="of-cluster"),)
    assert (found.playbooks, found.connection) == (("dummy",), {"REMOTE_USER": "admin", "REMOTE_PORT": "2222"})


@pytest.mark.parametrize(
    ("lower", "upper", "kept"),
    [
        ({"PROVIDER": "a", "PLAN": "x"}, {"PROVIDER": "b"}, False),
        ({"PROVIDER": "a", "PLAN": "x"}, {"PROVIDER": "a"}, True),
        ({"PROVIDER": "a", "PLAN": "x"}, {"DRIVER": "ec2"}, False),
        ({"DRIVER": "packet", "PLAN": "x"}, {"PROVIDER": "a"}, False),
        ({"DRIVER": "packet", "PLAN": "x"}, {"DRIVER": "ec2"}, False),
        ({"DRIVER": "packet", "PLAN": "x"}, {"DRIVER": "packet"}, True),
        ({"DRIVER": "packet", "PLAN": "x"}, {"METRO": "am"}, True),
    ],
)
def test_who_names_another_provider_gets_nothing_of_the_lower_ones(
    book: Book, lower: Vector, upper: Vector, kept: bool
) -> None:
    spec(book, cluster={**lower, "TAGS": "t", "PLAYBOOK": "dummy"}, host=upper)
    assert ("PLAN" in book.asked) is kept
    assert (book.asked["TAGS"], book.asked["PLAYBOOK"]) == ("t", "dummy")  # these are nobody's


def test_connection_of_host_over_cluster_over_entry(book: Book) -> None:
    found = spec(
        book,
        cluster={"PROVIDER": "acme"},
        shared=(("PROVISION_CONNECTION", {"REMOTE_USER": "cluster", "REMOTE_PORT": "1"}),),
        more=(("PROVISION_CONNECTION", {"REMOTE_USER": "host"}),),
    )
    assert found.connection == {"REMOTE_USER": "host", "REMOTE_PORT": "1"}


def test_parameters_of_host_over_cluster_over_hybrid_yaml_as_yaml_has_them(book: Book) -> None:
    found = spec(
        book,
        cluster={"PROVIDER": "acme", "PLAYBOOK": "dummy"},
        settings=Settings(configuration={"opennebula_node_kvm_use_ev": True}),
        shared=(("PROVISION_CONFIGURATION_BASE64", encoded("sysctl_list: [a, b]\nnothing:\n")),),
        more=(("DEPLOY", "x"), ("PROVISION_CONFIGURATION_BASE64", encoded("nothing: 5"))),
        host={"DEPLOY_ID": "m1"},
    )
    assert found.parameters == {"opennebula_node_kvm_use_ev": True, "sysctl_list": ["a", "b"], "nothing": 5}


# --- what is told -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bookkeeping", [NOTHING, {"HOSTNAME": "edge1", "PROVISION_ID": "5"}])
def test_no_provision_anywhere_says_where_to_put_it(book: Book, bookkeeping: Vector) -> None:
    with pytest.raises(ConfigError, match="no PROVISION on host edge1 or cluster edge: add PROVISION="):
        spec(book, host=bookkeeping)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("%%%", "PROVISION_CONFIGURATION_BASE64 of host edge1 is not base64 of YAML"),
        (encoded("a: [1"), "PROVISION_CONFIGURATION_BASE64 of host edge1 is not base64 of YAML"),
        (encoded("- a"), "PROVISION_CONFIGURATION_BASE64 of host edge1 is not a YAML mapping"),
        (encoded("1: a"), "PROVISION_CONFIGURATION_BASE64 of host edge1 is not a YAML mapping"),
        (encoded("no_such_parameter: 1"), "no_such_parameter"),
    ],
)
def test_wrong_parameters_are_told_before_a_machine_is_paid_for(book: Book, more: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        spec(book, cluster={"PROVIDER": "acme"}, more=(("PROVISION_CONFIGURATION_BASE64", more),))


def test_a_wrong_playbook_is_told_before_a_machine_is_paid_for(book: Book) -> None:
    with pytest.raises(ConfigError, match="there is no playbook 'defualt'"):
        spec(book, cluster={"PROVIDER": "acme", "PLAYBOOK": "defualt"})


@pytest.mark.parametrize("wrong", [{"PLAYBOOK": "defualt"}, {"PLANE": "x"}, {"PROVIDER": "other", "SURPRISE": "x"}])
def test_a_host_with_a_machine_does_not_depend_on_what_others_ask_for(book: Book, wrong: Vector) -> None:
    found = spec(book, cluster={"PROVIDER": "acme", **wrong}, host={"DEPLOY_ID": "m1", "RENTED_FROM": "acme"})
    assert (found.account.name, book.asked["RENTED_FROM"]) == ("acme", "acme")
    without = spec(book, host={"DEPLOY_ID": "m1", "RENTED_FROM": "acme"})
    assert without.account.name == "acme"


# --- the hash that tells whether the request changed ------------------------------------------------------------------


def test_the_hash_follows_the_request_and_the_entry_and_nothing_else(book: Book) -> None:
    def hashed(**changes: str) -> str:
        return spec(book, cluster={"PROVIDER": "acme", "PLAN": "x", **changes}).plan.spec_hash

    first = hashed()
    assert hashed(HOSTNAME="edge9", PLAYBOOK="dummy", PROVISION_ID="5") == first
    assert hashed(PLAN="y") != first
    recorded = {"DEPLOY_ID": "m1", "RENTED_FROM": "acme", "HOSTNAME": "edge1"}
    assert spec(book, cluster={"PROVIDER": "acme", "PLAN": "x"}, host=recorded).plan.spec_hash == first
    book.entry = ProviderEntry(name="acme", driver="dummy", defaults=book.entry.defaults, settings={"remote_port": "1"})
    assert hashed() != first


@pytest.mark.parametrize(
    ("cluster", "host", "stopped", "lost"),
    [
        (NOTHING, NOTHING, Remedy.SHOW, Remedy.SHOW),
        ({"WHEN_STOPPED": "power-on", "WHEN_LOST": "replace"}, NOTHING, Remedy.POWER_ON, Remedy.REPLACE),
        ({"WHEN_STOPPED": "power-on"}, {"WHEN_STOPPED": "REPLACE"}, Remedy.REPLACE, Remedy.SHOW),
        ({"WHEN_STOPPED": "POWER_ON", "WHEN_LOST": "show"}, NOTHING, Remedy.POWER_ON, Remedy.SHOW),
    ],
)
def test_what_follows_behind_our_back_is_no_part_of_what_is_rented(
    book: Book, cluster: Vector, host: Vector, stopped: Remedy, lost: Remedy
) -> None:
    plain = {"PROVIDER": "acme"}
    found = spec(book, cluster={**plain, **cluster}, host=host)
    assert (found.plan.when_stopped, found.plan.when_lost) == (stopped, lost)
    assert found.plan.spec_hash == spec(book, cluster=plain).plan.spec_hash


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [("WHEN_STOPPED", "start", "show or power-on or replace"), ("WHEN_LOST", "power-on", "show or replace")],
)
def test_a_wrong_policy_is_named(book: Book, name: str, value: str, known: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} of PROVISION must be {known}, not '{value}'"):
        spec(book, host={"PROVIDER": "acme", name: value})

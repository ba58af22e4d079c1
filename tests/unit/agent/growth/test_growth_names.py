"""Names of hosts that growing makes: valid wherever a machine is rented, and never those of another cluster."""

from __future__ import annotations

import re
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_drivers.agent.growth.names import free_names, stem_in, stem_of
from hybrid_drivers.model import Cluster, Host, HostState, Template


def clusters(*names: str) -> dict[int, Cluster]:
    return {
        number: Cluster(id=number, name=name, host_ids=(), template=Template())
        for number, name in enumerate(names, start=100)
    }


def stems(*names: str) -> list[str]:
    known = clusters(*names)
    return [stem_of(one, known) for one in known.values()]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["edge"], ["edge"]),
        (["My Edge_1", "Münster", "--A..b--"], ["my-edge-1", "munster", "a-b"]),
        (["日本"], ["cluster-100"]),
        (["my-edge", "My Edge"], ["my-edge", "my-edge-101"]),
        (["My Edge", "my_edge"], ["my-edge-100", "my-edge-101"]),
        (["x" * 125], ["x" * 40]),
    ],
)
def test_stems(names: list[str], found: list[str]) -> None:
    assert stems(*names) == found


@settings(max_examples=50)
@given(st.lists(st.text("aB é本_-.", max_size=50), unique=True, min_size=1, max_size=4))
def test_any_cluster_gets_names_that_are_host_names_of_its_own(names: list[str]) -> None:
    found = stems(*names)
    for one in found:
        (name,) = islice(free_names(one, []), 1)
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)
        assert stem_in(name) == one
    assert len(set(found)) == len(found)


def test_numbers_go_on_from_those_that_were_given() -> None:
    told = Template([("PROVISION", {"HOSTNAME": "my-edge-grow-7"})])
    host = Host(
        id=1, name="10.0.0.1", state=HostState.MONITORED, im_mad="provision", vm_mad="kvm", cluster_id=0, template=told
    )
    assert list(islice(free_names("my-edge", [host]), 2)) == ["my-edge-grow-8", "my-edge-grow-9"]
    assert next(free_names("edge", [host])) == "edge-grow-1"

"""PCI devices: served as ``HostSharePCI.cc`` serves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_drivers.agent.growth.devices import Device, Wish, all_of, free_of, read, render, serve, wishes
from hybrid_drivers.model_shares import PciDevice

GPU = {"vendor": "10de", "device": "20b0", "class_": "0302"}
CARD = {"vendor": "15b3", "device": "1016", "class_": "0200"}


def pci(short: str, kind: Mapping[str, str], vm_id: int = -1) -> PciDevice:
    return PciDevice(address=f"0000:{short}".replace(".", ":"), short_address=short, vm_id=vm_id, **kind)


HOST = (pci("81:00.2", CARD), pci("02:00.0", GPU), pci("03:00.0", GPU, 9), pci("81:00.1", CARD))


def left(*attributes: Mapping[str, str]) -> list[str] | None:
    wanted = wishes(attributes)
    assert wanted is not None
    found = serve(free_of(HOST), wanted)
    return None if found is None else [one.address for one in found]


@pytest.mark.parametrize(
    ("attributes", "rest"),
    [
        ([{"CLASS": "0302"}], ["81:00.1", "81:00.2"]),
        ([{"VENDOR": "10DE"}], ["81:00.1", "81:00.2"]),
        ([{"VENDOR": "0x10de", "DEVICE": " 20b0"}], ["81:00.1", "81:00.2"]),
        ([{"CLASS": "302"}], ["81:00.1", "81:00.2"]),
        ([{"CLASS": "0302"}, {"CLASS": "0302"}], None),  # the other one is of machine 9
        ([{"VENDOR": "10de", "CLASS": "0200"}], None),
        ([{"CLASS": "0200"}], ["02:00.0", "81:00.2"]),  # the first by address, not by place
        ([{"SHORT_ADDRESS": "81:00.2"}], ["02:00.0", "81:00.1"]),
        ([{"SHORT_ADDRESS": "03:00.0"}], None),
        ([{"SHORT_ADDRESS": "04:00.0"}], None),
        ([{"CLASS": "0200"}, {"SHORT_ADDRESS": "81:00.1"}], ["02:00.0"]),  # addresses are served first
        ([{"SHORT_ADDRESS": "81:00.1", "CLASS": "0302"}], ["81:00.1", "81:00.2"]),  # after a move: the kind counts
        ([], ["02:00.0", "81:00.1", "81:00.2"]),
    ],
)
def test_a_host_serves_as_oned_does(attributes: Sequence[Mapping[str, str]], rest: list[str] | None) -> None:
    assert left(*attributes) == rest


@pytest.mark.parametrize("told", [{}, {"TYPE": "NIC"}, {"CLASS": "gpu"}, {"VENDOR": "10de", "CLASS": "gpu"}])
def test_what_names_no_device_is_never_served(told: Mapping[str, str]) -> None:
    assert wishes([told]) is None


def test_what_is_not_known_of_a_device_is_not_promised() -> None:
    free = read(["10de:*:0302"])
    assert serve(free, (Wish(vendor=0x10DE),)) == ()
    assert serve(free, (Wish(device=0x20B0),)) is None
    assert serve(free, (Wish(address="02:00.0"),)) is None


def test_another_host_like_it_has_all_of_its_devices() -> None:
    assert [one.address for one in all_of(HOST)] == ["02:00.0", "03:00.0", "81:00.1", "81:00.2"]


PARTS = st.one_of(st.none(), st.integers(0, 0xFFFF))


@given(st.lists(st.builds(Device, PARTS, PARTS, PARTS, st.sampled_from(["", "02:00.0", "81:00.1"]))))
def test_devices_are_read_as_they_were_written(devices: list[Device]) -> None:
    assert read(render(devices).split()) == tuple(devices)

"""The hook over the real simulators: addresses go where machines run, and are free when they end."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.hooks import ACTIVE, ALIAS_DETACH, DONE, HOTPLUG_NIC, RUNNING, alias, card, hook_call, machine
from tests.support.vnm_world import World, vnm_world

from hybrid_drivers.agent.hook_addresses import HookAddresses, NoNodes
from hybrid_drivers.agent.hooks import AliasIp
from hybrid_drivers.agent.vnm import Networks
from hybrid_drivers.oned.hook_actions import parse_hook


class Site:
    """A machine that oned tells of; the hook is called for each of its states."""

    def __init__(self, world: World) -> None:
        self.world, self.now = world, b""
        sdnat = Networks(world.parts, NoNodes(), world.locks, world.left)
        addresses = HookAddresses(world.networks, sdnat)
        self.hook = AliasIp(self, addresses)  # type: ignore[arg-type] # it only reads

    def read(self, method: str, what: str, *args: object) -> str:
        del what
        assert (method, args) == ("vm.info", (7, False))
        return self.now.decode()

    def becomes(self, state: int, lcm: int, *cards: str, on: int = 0, actions: tuple[int, ...] = (0,)) -> None:
        document = machine(state, lcm, *cards, host=f"host{on}", actions=actions)
        self.now = document.replace(b"<HID>1</HID>", f"<HID>{on}</HID>".encode())
        self.hook.answer(parse_hook(hook_call(self.now)))

    def alias(self, number: int, **more: str) -> str:
        own = {"IP": self.world.inside(number), "NETWORK_ID": "1"}
        return alias(number + 1, 0, vn_mad="alias_sdnat", **{**own, **more})


@pytest.mark.parametrize("provider", ["packet", "ec2"])
def test_addresses_of_aliases_follow_their_machine(tmp_path: Path, provider: str) -> None:
    with vnm_world(provider, tmp_path) as world:
        site, parent = Site(world), card(0, vn_mad="bridge")
        world.leases = {0: 7, 1: 7}
        site.becomes(ACTIVE, RUNNING, parent, site.alias(0), site.alias(1))
        assert world.where() == {0: 0, 1: 0}
        site.becomes(ACTIVE, RUNNING, parent, site.alias(0), site.alias(1), on=1)
        assert world.where() == {0: 1, 1: 1}
        going = site.alias(1, ATTACH="YES")
        site.becomes(ACTIVE, HOTPLUG_NIC, parent, site.alias(0), going, on=1, actions=(ALIAS_DETACH, 0))
        assert world.where() == {0: 1}
        world.leases = {}
        site.becomes(DONE, 0, parent, site.alias(0), on=1)
        assert world.where() == {}
        assert world.nodes.ran == []  # the hypervisor's part is alias_sdnat's own


def test_an_address_that_another_machine_has_by_now_stays(tmp_path: Path) -> None:
    with vnm_world("packet", tmp_path) as world:
        site = Site(world)
        world.leases = {0: 7}
        site.becomes(ACTIVE, RUNNING, site.alias(0))
        world.leases = {0: 8}  # it ended, another one came on the same host, and only then the hook runs
        site.becomes(DONE, 0, site.alias(0))
        assert world.where() == {0: 0}

"""How the hook's requests become those of the network drivers, one for each driver's cards."""

from __future__ import annotations

from tests.support.hooks import ACTIVE, RUNNING, alias, card, machine

from hybrid_drivers.agent.hook_addresses import HookAddresses
from hybrid_drivers.oned.hook_actions import read_machine
from hybrid_drivers.oned.process import Answer
from hybrid_drivers.oned.vnm_actions import Clean, NetworkAction, Post


class Answered:
    def __init__(self) -> None:
        self.actions = list[NetworkAction]()

    def answer(self, action: NetworkAction) -> Answer:
        self.actions.append(action)
        return Answer()


def test_each_driver_gets_its_cards_and_the_host_the_machine_is_on() -> None:
    hybrid, sdnat = Answered(), Answered()
    addresses = HookAddresses(hybrid, sdnat)  # type: ignore[arg-type] # the same member
    cards = (card(0), alias(1, 0, vn_mad="alias_sdnat"), card(2, vn_mad="bridge"))
    whole = read_machine(machine(ACTIVE, RUNNING, *cards, actions=(2, 0)), "it")
    addresses.post(whole.plugged().document, "edge1")
    addresses.clean(whole.plugged({"1"}).document, "edge1")
    for networks, number in ((hybrid, 0), (sdnat, 1)):
        post = networks.actions[0]
        assert isinstance(post, Post)
        assert [one.nic_id for one in post.concerned] == [number]
        assert (post.vm_id, post.host_id, post.host_name, post.host) == (7, 1, "edge1", "edge1")
    assert len(hybrid.actions) == 1  # a card of the other driver is no reason to take its cards' addresses
    clean = sdnat.actions[1]
    assert isinstance(clean, Clean)
    assert [(one.nic_id, one.attach) for one in clean.concerned] == [(1, True)]

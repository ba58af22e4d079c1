"""The reconciler with its executor, on fakes and a virtual clock: stories that the model test tells too rarely."""

from __future__ import annotations

import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.agent_fakes import LIMITS, READY
from tests.support.agent_world import World

from hybrid_drivers.agent import node
from hybrid_drivers.agent.monitor_file import MonitorFile
from hybrid_drivers.agent.observer import drift_due, upkeep_of
from hybrid_drivers.agent.record import read
from hybrid_drivers.agent.wishes import Ended, Wish
from hybrid_drivers.errors import ActionRefused, ConfigError, HostKeyMismatch, HostUnreachable, StepFailed
from hybrid_drivers.hostconfig.report import RunReport, StepReport
from hybrid_drivers.model import HostState, RaftState, Template, Value
from hybrid_drivers.oned.xml import MonitorConfiguration


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, idempotent=False)
    yield made
    made.close()


def create(world: World) -> int:
    host_id = world.store.add()
    world.agent(world.leader).start_monitor(host_id)
    return host_id


def ready(world: World) -> int:
    host_id = create(world)
    world.pass_time(60)
    assert world.store.phase(host_id) == READY
    return host_id


def test_a_host_that_is_told_what_to_rent_by_a_second_call_is_not_left_waiting(world: World) -> None:
    wanted = world.store.cluster.template.vector("PROVISION")
    world.store.cluster = replace(world.store.cluster, template=Template())
    host_id = create(world)
    world.pass_time(3)
    assert "no PROVISION" in error(world, host_id)
    assert not world.provider.units
    world.store.hosts[host_id] = replace(
        world.store.hosts[host_id], template=Template([("PROVISION", {**wanted, "PROVISION_ID": "5"})])
    )
    world.pass_time(6)  # the claim delay is four of these
    assert len(world.provider.units) == 1


def error(world: World, host_id: int) -> str:
    return world.store.hosts[host_id].template.text("PROVISION_ERROR")


# --- peers and drift --------------------------------------------------------------------------------------------------


@pytest.fixture
def overlay(world: World) -> World:
    """Return a world whose hosts connect with each other."""
    provision = {**world.store.cluster.template.vector("PROVISION"), "PLAYBOOK": "static_vxlan"}
    configuration = b64encode(b"opennebula_repository_enabled: no\n").decode()
    pairs: list[tuple[str, Value]] = [("PROVISION", provision), ("PROVISION_CONFIGURATION_BASE64", configuration)]
    world.store.cluster = replace(world.store.cluster, template=Template(pairs))
    return world


def told_peers(world: World) -> set[str]:
    return {host.template.text("PROVISION_PEERS")[:2] for host in world.store.hosts.values()}


def test_many_that_join_at_once_make_few_runs(overlay: World) -> None:
    for _ in range(40):
        create(overlay)
    overlay.pass_time(120)
    assert (overlay.ready(), told_peers(overlay)) == (True, {"40"})
    assert len(overlay.nodes.runs) <= 3 * 40
    before = len(overlay.nodes.runs)
    overlay.pass_time(300)
    assert len(overlay.nodes.runs) == before  # and none without need
    del overlay.store.hosts[7]
    overlay.agent(0).stop_monitor(7)
    overlay.pass_time(10)
    assert (len(overlay.nodes.runs) - before, told_peers(overlay)) == (39, {"39"})


def test_peers_are_tried_again_with_longer_pauses_and_the_trouble_is_told_and_forgotten(overlay: World) -> None:
    first = ready(overlay)
    ready(overlay)
    overlay.nodes.trouble = [HostUnreachable("192.0.2.1: no SSH") for _ in range(4)]
    third = ready(overlay)
    overlay.nodes.trouble.clear()
    overlay.pass_time(400)
    assert (told_peers(overlay), error(overlay, first), error(overlay, third)) == ({"3 "}, "", "")


def peers_of(world: World, host_id: int) -> str:
    return world.store.hosts[host_id].template.text("PROVISION_PEERS")


def test_the_machine_of_a_ready_host_that_is_gone_is_no_peer_any_more(overlay: World) -> None:
    first, second = ready(overlay), ready(overlay)
    overlay.pass_time(10)
    assert told_peers(overlay) == {"2 "}
    unit = overlay.provider.units["m2"]
    unit.gone_at = unit.hidden_at = overlay.clock.now()
    overlay.agent(0).reconciler.ask(second)
    while overlay.store.phase(second) == READY:
        overlay.pass_time(1)
    overlay.agent(0).next_sweep = float("inf")
    overlay.pass_time(10)
    assert peers_of(overlay, first)[:2] == "1 "
    overlay.store.put(second, HostState.INIT)
    overlay.agent(0).start_monitor(second)  # it was enabled
    overlay.pass_time(120)
    assert (overlay.store.phase(second), told_peers(overlay)) == (READY, {"2 "})


def test_peers_that_change_while_a_host_is_told_are_told_after_that(
    overlay: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ready(overlay)
    ready(overlay)
    overlay.pass_time(10)
    overlay.store.merge(first, Template([("PROVISION_PEERS", "1 old")]))
    agent, before = overlay.agent(0), len(overlay.nodes.runs)

    def slow(*args: Any, **options: Any) -> RunReport:
        monkeypatch.setattr(node, "run", overlay.nodes.run)
        agent.parts.memory(first).upkeep.peers_wanted = "3 newer"  # as a round would meanwhile
        return overlay.nodes.run(*args, **options)

    monkeypatch.setattr(node, "run", slow)
    agent.reconciler.peers_of()
    overlay.attend(0)
    assert len(overlay.nodes.runs) - before == 2
    assert told_peers(overlay) == {"2 "}


class Asker:
    """Waits for a run."""

    def __init__(self) -> None:
        self.ended: list[Ended] = []

    def step(self, report: StepReport) -> None:
        """Hear of a step."""

    def end(self, ended: Ended) -> None:
        self.ended.append(ended)


def rerun(world: World, host_id: int) -> str:
    asker = Asker()
    agent = world.agent(0)
    assert agent.parts.wishes.put(host_id, Wish(check_only=False, listener=asker))
    agent.reconciler.ask(host_id)
    world.attend(0)
    return asker.ended[0].problem


def test_a_run_that_never_began_is_told_to_who_asked_only(world: World) -> None:
    host_id = ready(world)
    world.pass_time(5)
    before = world.store.hosts[host_id]
    world.nodes.trouble = [HostUnreachable("192.0.2.1: no SSH")]
    assert rerun(world, host_id) == "192.0.2.1: no SSH"
    assert world.store.hosts[host_id] == before


def test_who_asks_for_a_host_of_another_agent_is_told(world: World) -> None:
    host_id = ready(world)
    world.pass_time(5)
    intent = {**world.store.intents[host_id], "AGENT": "agent1", "SINCE": str(world.clock.now() + 60)}
    world.store.merge(host_id, Template([("PROVISION_INTENT", intent)]))
    assert "another front-end's agent" in rerun(world, host_id)


def test_an_offline_host_is_not_looked_at_and_its_peers_trouble_is_not_told(overlay: World) -> None:
    first, _ = ready(overlay), ready(overlay)
    overlay.pass_time(10)
    overlay.store.put(first, HostState.OFFLINE)
    before = len(overlay.nodes.runs)
    parts = overlay.agent(0).parts
    upkeep = parts.memory(first).upkeep
    upkeep.peers_wanted, upkeep.peers_problem = "3 other", "could not be told"
    record = read(overlay.store.hosts[first])
    assert upkeep_of(parts, record).problem == ""
    assert upkeep_of(parts, read(replace(record.host, state=HostState.DISABLED))).problem == "could not be told"
    upkeep.peers_wanted = ""
    overlay.pass_time(2 * 21600)
    looks = {address for address, check_only, _ in overlay.nodes.runs[before:] if check_only}
    assert looks == {"192.0.2.2"}


def test_what_ansible_refuses_in_a_first_configuration_is_told_as_a_failed_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **hooks: Any) -> None:
        hooks["on_contact"]()
        raise ConfigError("playbook x.yml: ansible-playbook is not installed")

    monkeypatch.setattr(node, "configure", refuse)
    host_id = create(world)
    world.pass_time(60)
    assert world.store.phase(host_id) == "ERROR"
    assert "ansible-playbook is not installed" in error(world, host_id)


def test_a_mistake_in_the_program_is_shown_in_the_host(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    host_id = ready(world)
    reconciler = world.agent(0).reconciler

    def broken(*args: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(reconciler.observer, "look", broken)
        with pytest.raises(ZeroDivisionError):
            reconciler.work(("host", str(host_id)))
    assert error(world, host_id) == "internal error (ZeroDivisionError): see the agent's log"
    reconciler.ask(host_id)
    world.pass_time(2)
    assert error(world, host_id) == ""


def test_nothing_is_kept_of_a_host_that_is_only_asked_about(world: World) -> None:
    parts = world.agent(0).parts
    record = read(replace(world.store.hosts[ready(world)], id=999))
    drift_due(parts, record)
    assert 999 not in parts._memories


def test_drift_is_looked_for_without_a_write(world: World) -> None:
    host_id = ready(world)
    before = world.store.hosts[host_id]
    world.pass_time(2 * 21600)
    assert world.store.hosts[host_id] == before
    looks = [check_only for _, check_only, _ in world.nodes.runs]
    assert looks in ([True] * 2, [True] * 3)


# --- taking over ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [0.0, LIMITS.settle - 5])
def test_a_new_leader_finds_what_the_old_one_made_without_telling(world: World, lag: float) -> None:
    world.agent(1)  # it has been there for long
    world.pass_time(2 * LIMITS.settle)
    world.provider.list_lag, world.provider.deadly_replies = lag, 1
    host_id = create(world)
    world.pass_time(6)
    assert (len(world.provider.units), world.agents[0]) == (1, None)
    world.lead(1)
    world.call_all()
    world.pass_time(120)
    assert (world.store.phase(host_id), len(world.provider.units)) == (READY, 1)


def test_a_new_leader_does_not_use_the_host_key_of_the_old_one(world: World) -> None:
    host_id = create(world)
    world.pass_time(1)
    assert world.store.intents[host_id]["AGENT"] == "agent0"
    world.agents[0] = None
    world.pass_time(2)
    world.lead(1)
    world.call_all()
    world.pass_time(120)
    assert (world.store.phase(host_id), len(world.provider.units)) == (READY, 1)
    assert (world.store.intents[host_id]["AGENT"], world.store.intents[host_id]["ATTEMPT"]) == ("agent1", "2")


def test_who_was_not_called_leaves_another_ones_host_alone(world: World) -> None:
    world.raft = [RaftState.SOLO, RaftState.SOLO]
    host_id = create(world)
    world.pass_time(1)
    world.agent(1)
    world.pass_time(60)
    assert (world.store.intents[host_id]["AGENT"], len(world.provider.units)) == ("agent0", 1)


# --- telling ----------------------------------------------------------------------------------------------------------


def test_monitoring_that_cannot_start_is_told_until_it_can(world: World) -> None:
    host_id = ready(world)
    world.nodes.trouble = [HostUnreachable("192.0.2.1: no SSH")]
    world.call_all()
    world.pass_time(5)
    assert world.store.hosts[host_id].state is HostState.ERROR
    assert error(world, host_id) == "monitoring cannot be started: 192.0.2.1: no SSH"
    world.call_all()
    world.pass_time(5)
    assert (world.store.hosts[host_id].state, error(world, host_id)) == (HostState.MONITORED, "")


def test_probes_that_do_not_start_at_first_are_told_and_tried_again(world: World) -> None:
    host_id = create(world)
    world.pass_time(15)
    agent = world.agent(0)
    while world.store.phase(host_id) != READY:
        if not agent.work():
            world.clock.sleep(1)
    world.nodes.trouble = [HostUnreachable("192.0.2.1: no SSH")]
    world.attend(0)
    assert error(world, host_id) == "monitoring cannot be started: 192.0.2.1: no SSH"
    world.pass_time(10)
    assert (error(world, host_id), world.store.phase(host_id)) == ("", READY)


def test_what_went_wrong_on_the_way_is_not_told_of_a_ready_host(world: World) -> None:
    world.nodes.trouble = [StepFailed("node", "role", "step", 1, "no space")]
    host_id = create(world)
    world.pass_time(50)
    assert "no space" in error(world, host_id)
    world.pass_time(60)
    assert (world.store.phase(host_id), error(world, host_id)) == (READY, "")


def test_a_late_message_does_not_hide_that_a_host_was_given_up(world: World) -> None:
    world.nodes.trouble = [HostKeyMismatch("another key")]
    host_id = create(world)
    world.pass_time(60)
    assert world.store.phase(host_id) == "ERROR"
    world.store.merge(host_id, Template([("PROVISION_STATE", "BOOTING"), ("PROVISION_ERROR", "")]))  # as UDP may
    world.pass_time(70)
    assert (world.store.phase(host_id), "another key" in error(world, host_id)) == ("ERROR", True)


def test_a_name_that_is_taken_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    host_id = create(world)

    def taken(host: int, name: str) -> None:
        raise ActionRefused(f"host {host}: cannot be renamed to {name} because it collides with host 9")

    monkeypatch.setattr(world.agent(0).oned, "rename_host", taken)
    world.pass_time(60)
    assert world.store.hosts[host_id].state is HostState.ERROR
    assert "cannot be renamed to its address 192.0.2.1" in error(world, host_id)
    assert "collides with host 9" in error(world, host_id)


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_sweeps_do_not_hurry_those_who_wait(world: World) -> None:
    world.provider.sold_out = {"small", "large"}
    host_id = create(world)
    world.pass_time(8 * 3600)
    attempts = int(world.store.intents[host_id]["ATTEMPT"])
    assert attempts <= 2 * (8 * 3600 / 900 + 6)  # two plans a round, a round in 15 minutes, some at the beginning
    assert "is sold out; next try in 900 s" in error(world, host_id)
    world.provider.sold_out = set()
    world.pass_time(1000)
    assert world.store.phase(host_id) == READY


def test_sold_out_for_years_does_not_overflow(world: World) -> None:
    host_id = create(world)
    world.provider.sold_out = {"small", "large"}
    world.pass_time(10)
    intent = {**world.store.intents[host_id], "ATTEMPT": "5000"}
    world.store.merge(host_id, Template([("PROVISION_INTENT", intent)]))
    world.pass_time(2000)
    assert "is sold out; next try in 900 s" in error(world, host_id)


def test_a_failure_in_init_is_only_forgiven_after_the_host_was_in_error(world: World) -> None:
    agent = world.agent(0)
    host_id = world.store.add()
    agent.monitord.send = lambda *_, **__: None  # type: ignore[method-assign]  # messages get lost: it stays INIT
    world.provider.doomed = 99
    agent.start_monitor(host_id)
    world.pass_time(400)
    made = len(world.provider.units)
    assert world.store.hosts[host_id].state is HostState.INIT
    assert made == 3  # tries
    del agent.monitord.send
    world.store.put(host_id, HostState.ERROR)
    world.pass_time(10)
    world.provider.doomed = 0
    world.store.put(host_id, HostState.INIT)
    world.pass_time(200)
    assert (world.store.phase(host_id), len(world.provider.units)) == (READY, made + 1)


# --- many at once -----------------------------------------------------------------------------------------------------


class SlowFile(MonitorFile):
    """Takes its time to use what is new, so that all calls come to it while it is new."""

    def _use(self, configuration: MonitorConfiguration) -> None:
        time.sleep(0.02)
        super()._use(configuration)


def test_many_calls_at_once_may_bring_the_first_configuration(world: World) -> None:
    parts = world.agent(0).parts
    parts.location.state.mkdir(parents=True)
    parts.configuration = b""
    file, failed = SlowFile(parts), list[OSError]()

    def learn(number: int) -> None:
        try:
            file.learn(configuration(number))
        except OSError as exc:
            failed.append(exc)

    threads = [threading.Thread(target=learn, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert (parts.location.state / "monitord.xml").read_bytes().startswith(b"<MONITOR_CONFIGURATION>")
    assert [path.name for path in parts.location.state.iterdir()] == ["monitord.xml"]


def configuration(host_id: int) -> MonitorConfiguration:
    xml = b"<MONITOR_CONFIGURATION><NETWORK/><HOST_ID>%d</HOST_ID></MONITOR_CONFIGURATION>" % host_id
    return MonitorConfiguration(
        host_id=host_id,
        address="127.0.0.1",
        port=4124,
        public_key="",
        beacon_period=30,
        interval=180,
        raw=b"",
        xml=xml,
    )

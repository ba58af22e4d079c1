"""The agent's real code against every trouble at once, in any order (hypothesis): what must hold, holds.

A small world on a virtual clock: oned, a provider and nodes in memory (``tests/support/agent_world.py``); agents that
crash before or after any effect, replies that get lost, lists that lag, machines that fail, vanish or are stopped,
virtual machines that come and go, a second front-end that takes over. After each story all troubles end, and everything
must come right within hours of its clock.

HYBRID_MODEL_EXAMPLES=1000 makes it look harder, with other stories each time.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support.agent_fakes import LIMITS
from tests.support.agent_world import World
from tests.support.examples import examples

from hybrid_drivers.errors import HostUnreachable, StepFailed
from hybrid_drivers.model import CreateRequest, HostState, MachineState, MachineTags, Placement

EXAMPLES = int(os.environ.get("HYBRID_MODEL_EXAMPLES", "0"))
THEN = st.sampled_from([0.0, 2.0, 2.0, 8.0, 8.0, 25.0, 60.0])  # seconds that pass after whatever happened
LAG = st.sampled_from([0.0, 10.0, LIMITS.settle - 2])  # seconds; never longer than what the limits allow for
CALM_LIMIT = 6 * 3600.0  # seconds of the virtual clock until all is well


class LifeOfHosts(RuleBasedStateMachine):
    """Up to three hosts on two front-ends."""

    @initialize(
        idempotent=st.booleans(),
        hosts=st.integers(1, 3),
        stopped=st.sampled_from(["show", "power-on", "replace"]),
        lost=st.sampled_from(["show", "replace"]),
        then=THEN,
    )
    def begin(self, idempotent: bool, hosts: int, stopped: str, lost: str, then: float) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="onehybrid-model-")
        self.world = World(Path(self.folder.name), idempotent=idempotent)
        self.world.store.provision({"WHEN_STOPPED": stopped, "WHEN_LOST": lost})
        provider = self.world.provider
        for number, owner in enumerate(("stranger", "")):
            tags = MachineTags(owner=owner or self._owner(), host_id=-1 if not owner else 0, token="x", name="theirs")
            request = CreateRequest(
                token=f"x{number}",
                tags=tags,
                hostname="theirs",
                placement=Placement(plan="small", place="here"),
                attributes={},
                user_data="ssh_keys: {ed25519_public: theirs}",
            )
            unit = provider.new(request)
            provider.units[unit.machine.id] = unit
        self.theirs = set(provider.units)
        for _ in range(hosts):
            self.create(0.0)
        self.world.pass_time(then)

    def _owner(self) -> str:
        return self.world.agent(0).parts.owner()

    # --- what people and oned do ---

    @precondition(lambda self: len(self.world.store.hosts) < 3)
    @rule(then=THEN)
    def create(self, then: float) -> None:
        host_id = self.world.store.add()
        with self.world.may_crash(self.world.leader):
            self.world.agent(self.world.leader).start_monitor(host_id)
        self.world.pass_time(then)

    @precondition(lambda self: self.world.store.hosts)
    @rule(data=st.data(), told=st.booleans(), then=THEN)
    def delete(self, data: st.DataObject, told: bool, then: float) -> None:
        host_id = data.draw(st.sampled_from(sorted(self.world.store.hosts)))
        self.world.store.place(host_id, ())  # oned refuses to delete a host with virtual machines
        del self.world.store.hosts[host_id]
        if told:
            with self.world.may_crash(self.world.leader):
                self.world.agent(self.world.leader).stop_monitor(host_id)
        self.world.pass_time(then)

    @precondition(lambda self: self.world.store.hosts)
    @rule(data=st.data(), then=THEN)
    def delete_in_the_middle_of_a_pass(self, data: st.DataObject, then: float) -> None:
        host_id = data.draw(st.sampled_from(sorted(self.world.store.hosts)))
        self.world.fuse.meanwhile.append(lambda: self.world.store.hosts.pop(host_id, None))
        self.world.pass_time(then)

    @precondition(lambda self: self.world.store.hosts)
    @rule(data=st.data(), then=THEN)
    def offline_or_enable(self, data: st.DataObject, then: float) -> None:
        host_id = data.draw(st.sampled_from(sorted(self.world.store.hosts)))
        leader = self.world.agent(self.world.leader)
        if self.world.store.hosts[host_id].state is HostState.OFFLINE:
            self.world.store.put(host_id, HostState.INIT)
            with self.world.may_crash(self.world.leader):
                leader.start_monitor(host_id)
        else:
            self.world.store.put(host_id, HostState.OFFLINE)
            with self.world.may_crash(self.world.leader):
                leader.stop_monitor(host_id)
        self.world.pass_time(then)

    @precondition(lambda self: self.world.store.hosts)
    @rule(data=st.data(), then=THEN)
    def virtual_machines_come_or_go(self, data: st.DataObject, then: float) -> None:
        host = self.world.store.hosts[data.draw(st.sampled_from(sorted(self.world.store.hosts)))]
        if host.vm_ids or (host.state is HostState.MONITORED and host.total_cpu):
            self.world.store.place(host.id, () if host.vm_ids else (7,))
        self.world.pass_time(then)

    @precondition(lambda self: self.world.store.hosts)
    @rule(data=st.data(), then=THEN)
    def enable_after_an_error(self, data: st.DataObject, then: float) -> None:
        host_id = data.draw(st.sampled_from(sorted(self.world.store.hosts)))
        if self.world.store.hosts[host_id].state is HostState.ERROR:
            self.world.store.put(host_id, HostState.INIT)
        self.world.pass_time(then)

    @rule(then=THEN)
    def start_monitor_comes_again(self, then: float) -> None:
        self.world.call_all()
        self.world.pass_time(then)

    @rule(seconds=st.sampled_from([1.0, 6.0, 35.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    # --- troubles ---

    @rule(effects=st.integers(1, 12), before=st.booleans(), then=THEN)
    def crash_at_an_effect(self, effects: int, before: bool, then: float) -> None:
        self.world.fuse.left, self.world.fuse.before = effects, before
        self.world.pass_time(then)

    @rule(number=st.integers(0, 1), then=THEN)
    def kill(self, number: int, then: float) -> None:
        self.world.agents[number] = None
        self.world.pass_time(then)

    @rule(number=st.integers(0, 1), called=st.booleans(), then=THEN)
    def lead(self, number: int, called: bool, then: float) -> None:
        self.world.lead(number)
        if called:
            self.world.call_all()
        self.world.pass_time(then)

    @rule(answers=st.lists(st.booleans(), min_size=1, max_size=3), then=THEN)
    def oned_goes_down(self, answers: list[bool], then: float) -> None:
        self.world.agent(self.world.leader).oned.unreachable = answers
        self.world.pass_time(then)

    @rule(lost=st.integers(0, 2), deadly=st.integers(0, 1), lag=LAG, then=THEN)
    def replies_get_lost_and_lists_lag(self, lost: int, deadly: int, lag: float, then: float) -> None:
        self.world.provider.lost_replies, self.world.provider.deadly_replies = lost, deadly
        self.world.provider.list_lag = lag
        self.world.pass_time(then)

    @rule(doomed=st.integers(1, 4), vanish=st.booleans(), then=THEN)
    def machines_break(self, doomed: int, vanish: bool, then: float) -> None:
        self.world.provider.doomed, self.world.provider.vanish = doomed, vanish
        self.world.pass_time(then)

    @rule(plans=st.sets(st.sampled_from(["small", "large"])), then=THEN)
    def plans_are_sold_out(self, plans: set[str], then: float) -> None:
        self.world.provider.sold_out = plans
        self.world.pass_time(then)

    @rule(refusals=st.integers(0, 5), lies=st.integers(0, 2), slow=st.sampled_from([0.0, 40.0]), then=THEN)
    def the_provider_refuses_lies_and_is_slow(self, refusals: int, lies: int, slow: float, then: float) -> None:
        provider = self.world.provider
        provider.refusals, provider.lies, provider.slow_delete = refusals, lies, slow
        self.world.pass_time(then)

    @rule(then=THEN)
    def a_list_comes_back_empty(self, then: float) -> None:
        self.world.provider.blinks = 1
        self.world.pass_time(then)

    @precondition(lambda self: self.world.provider.alive())
    @rule(data=st.data(), then=THEN)
    def a_machine_vanishes(self, data: st.DataObject, then: float) -> None:
        ours = [one.id for one in self.world.provider.alive() if one.id not in self.theirs]
        if ours:
            unit = self.world.provider.units[data.draw(st.sampled_from(ours))]
            unit.gone_at = unit.hidden_at = self.world.clock.now()
        self.world.pass_time(then)

    @precondition(lambda self: self.world.provider.alive())
    @rule(data=st.data(), failures=st.integers(0, 2), then=st.sampled_from([2.0, 60.0, 200.0]))
    def a_machine_is_stopped(self, data: st.DataObject, failures: int, then: float) -> None:
        ours = [one.id for one in self.world.provider.alive() if one.id not in self.theirs]
        if ours:
            self.world.provider.units[data.draw(st.sampled_from(ours))].stopped = True
        self.world.provider.switch_failures = failures
        self.world.pass_time(then)

    @rule(failed=st.booleans(), then=THEN)
    def a_node_makes_trouble(self, failed: bool, then: float) -> None:
        error = StepFailed("node", "role", "step", 1, "no space") if failed else HostUnreachable("no SSH")
        self.world.nodes.trouble = [error]
        self.world.pass_time(then)

    # --- what must hold ---

    @invariant()
    def other_peoples_machines_are_left_alone(self) -> None:
        assert not self.world.provider.stranger_deleted
        assert self.theirs <= {one.id for one in self.world.provider.alive()}

    @invariant()
    def never_two(self) -> None:
        counted: dict[int, list[str]] = {}
        for one in self.world.provider.alive():
            usable = one.state in (MachineState.STARTING, MachineState.RUNNING) and not one.failure
            if usable and one.id not in self.world.leaving() | self.theirs and one.tags:
                counted.setdefault(one.tags.host_id, []).append(one.id)
        assert all(len(ids) <= 1 for ids in counted.values()), counted

    # --- the end ---

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self._calm_down()
        finally:
            self.world.close()
            self.folder.cleanup()

    def _calm_down(self) -> None:
        world = self.world
        world.fuse.left, world.fuse.meanwhile = 0, []
        provider = world.provider
        provider.deadly_replies = provider.blinks = 0
        provider.lost_replies = provider.refusals = provider.lies = provider.doomed = 0
        provider.sold_out, world.nodes.trouble = set(), []
        provider.switch_failures = 0
        for unit in provider.units.values():
            unit.stopped = False
        for host_id in world.store.hosts:
            world.store.place(host_id, ())
        until = world.clock.now() + CALM_LIMIT
        while not self._all_is_well():
            assert world.clock.now() < until, self._how_it_stands()
            for host_id, host in world.store.hosts.items():
                if host.state in (HostState.ERROR, HostState.OFFLINE):
                    world.store.put(host_id, HostState.INIT)
            world.agent(world.leader).oned.unreachable = []
            world.call_all()
            world.pass_time(200)
        self.other_peoples_machines_are_left_alone()

    def _all_is_well(self) -> bool:
        world = self.world
        leader = world.agents[world.leader]
        alive = {one.id: one for one in world.provider.alive() if one.id not in self.theirs}
        recorded = {host.template.vector("PROVISION").get("DEPLOY_ID", "") for host in world.store.hosts.values()}
        healthy = all(one.state is MachineState.RUNNING for one in alive.values())
        monitored = all(host.template.text("TOTALCPU") == "800" for host in world.store.hosts.values())
        idle = leader is not None and not leader.parts.departures.all()
        return world.ready() and monitored and healthy and idle and set(alive) == recorded

    def _how_it_stands(self) -> str:
        hosts = {host.id: (host.state.name, dict(host.template)) for host in self.world.store.hosts.values()}
        leader = self.world.agents[self.world.leader]
        notes = leader.parts.departures.all() if leader else None
        return f"hosts {hosts}, machines {self.world.provider.alive()}, notes {notes}"


@pytest.mark.hypothesis
def test_whatever_happens_it_comes_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # thousands of lines nobody reads
    run_state_machine_as_test(
        LifeOfHosts,
        settings=settings(
            max_examples=EXAMPLES or examples(30),
            stateful_step_count=30,
            derandomize=not EXAMPLES,
            suppress_health_check=list(HealthCheck),
        ),
    )

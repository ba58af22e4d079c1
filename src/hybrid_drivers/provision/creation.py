"""Making a provision, or going on with one: cluster, datastores, networks, all hosts at once, then the rest.

The tool only creates and watches: what becomes of a host is the agent's work, and it goes on when we are gone. No host
waits for another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from hybrid_drivers.errors import HybridError, OnedUnreachable
from hybrid_drivers.provision import plan
from hybrid_drivers.provision.failures import CleanUp, Failures, Mode, Quit
from hybrid_drivers.provision.making import Maker
from hybrid_drivers.provision.progress import HostView, Teller
from hybrid_drivers.provision.record import Record, Slot, Stage, State
from hybrid_drivers.provision.returning import Returns
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.model import ProvisionTemplate
from hybrid_drivers.provision.watching import HostWatch

T = TypeVar("T")
LOOK = 0.5  # seconds between two looks at the hosts: one call of oned for all of them


class Creation:
    """One run of making a provision. ``failures`` decides what to do when something does not work."""

    def __init__(
        self, site: Site, record: Record, template: ProvisionTemplate, failures: Failures, teller: Teller
    ) -> None:
        self._site, self._record, self._failures, self._teller = site, record, failures, teller
        self._maker = Maker(site, record, template)
        self._returns = Returns(site, record, self._say)
        self._hosts = HostWatch(site)

    def run(self) -> bool:
        """Make what is not there yet; tell whether everything is as the template says.

        Raises:
            Quit: something failed, and that is where it ends; the record says what.
            CleanUp: the same, and everything is to be taken away again.
            OnedError: the record cannot be written.
        """
        record = self._record
        record.started = record.started or self._site.clock.now()
        self._enter(State.DEPLOYING)
        try:
            self._give_back_left_out()
            for kind in plan.BEFORE_HOSTS:
                self._make_all(plan.unfinished(record, kind))
            self._revive()
            self._make_all(plan.unfinished(record, "hosts"))
            self._watch()
            self._learn()
            for kind in plan.AFTER_HOSTS:
                self._make_all(plan.unfinished(record, kind))
        except Quit as exc:
            self._see_off()
            self._fail(str(exc))
            raise
        except CleanUp:
            self._see_off()
            raise
        self._see_off()
        skipped = [slot for slot in record.slots if slot.stage is Stage.SKIPPED]
        record.problem = "left out: " + "; ".join(map(plan.label, skipped)) if skipped else ""
        record.ended = self._site.clock.now()
        self._enter(State.RUNNING)
        return not skipped

    # --- making -----------------------------------------------------------------------------------------------------

    def _make_all(self, slots: Sequence[Slot]) -> None:
        """Make objects of one kind."""
        self._maker.begin(slots)
        for slot in slots:
            self._attempt(slot)
        if slots:
            self._site.store.save(self._record)

    def _attempt(self, slot: Slot) -> None:
        what = f"{plan.WORDS[slot.kind]} {slot.index}"
        while True:
            try:
                done = self._maker.make(self._record.current(slot))
            except HybridError as exc:
                if not self._decide(what, str(exc), slot, unsure=isinstance(exc, OnedUnreachable)):
                    return
                continue
            if slot.kind == "hosts":
                self._hosts.made(done.number)
            else:
                self._site.store.save(self._record)
            self._failures.forget(what)
            self._teller.say(f"{plan.label(done)} made")
            return

    def _decide(self, what: str, sentence: str, slot: Slot, *, unsure: bool = False) -> bool:
        """Ask what to do about an object that failed; tell whether to try again. Raises: Quit, CleanUp.

        A host that is left out is given back: it would cost money and be of no use. ``unsure``: oned may have made the
        object, and its answer was lost.
        """
        self._record.put(replace(self._record.current(slot), problem=sentence))
        if self._again(what, sentence):
            return True
        if unsure:
            self._maker.adopt_one(slot)
        self._record.put(replace(self._record.current(slot), stage=Stage.SKIPPED))
        self._say(f"{what}: skipped")
        self._site.store.save(self._record)
        self._give_back_left_out()
        return False

    def _again(self, what: str, sentence: str) -> bool:
        """Ask what to do about a failure; tell whether to try again.

        Raises:
            Quit, CleanUp: that is the decision.
        """
        self._say(f"{what}: {sentence}")
        self._site.store.save(self._record)
        mode = self._failures.decide(what, sentence)
        if mode is Mode.CLEANUP:
            raise CleanUp(f"{what}: {sentence}")
        if mode is Mode.QUIT:
            raise Quit(f"{what}: {sentence}")
        self._site.clock.sleep(self._failures.pause)
        return mode is Mode.RETRY

    def _revive(self) -> None:
        """Try again with hosts that an earlier run left failed, and make anew what was deleted meanwhile."""
        slots = [slot for slot in self._record.exists("hosts") if slot.stage is Stage.MADE]
        for one in self._hosts.look(slots):
            if one.failed:
                self._retry(one, next(slot for slot in slots if slot.index == one.index))

    def _learn(self) -> None:
        """Fill in what the template wants to know of its hosts."""
        for slot in self._tried("facts of the hosts", self._maker.learn_from_hosts) or ():
            self._tried(plan.label(slot), partial(self._maker.write_again, slot))

    def _tried(self, what: str, work: Callable[[], T]) -> T | None:
        """Do something, again as the fail modes say; None: it was skipped. Raises: Quit, CleanUp."""
        while True:
            try:
                return work()
            except HybridError as exc:
                if not self._again(what, str(exc)):
                    return None

    # --- watching ---------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look at the hosts until each is ready, or given up."""
        while slots := [slot for slot in self._record.exists("hosts") if slot.stage is Stage.MADE]:
            views = self._hosts.look(slots)
            self._teller.hosts(views)
            news = [(one, text) for one in views if (text := self._hosts.news(one))]
            for one, text in news:
                self._site.store.note(self._record, text)
                (self._teller.say if one.ready else self._teller.passing)(text)
            self._enter(State.CONFIGURING if _all_configuring(views) else State.DEPLOYING, save=bool(news))
            failed = [(one, sentence) for one in views if (sentence := self._hosts.failure(one))]
            for one, sentence in failed:
                self._failed(one, sentence)
            if not failed and all(one.ready for one in views):
                return
            self._site.clock.sleep(LOOK)

    def _failed(self, one: HostView, sentence: str) -> None:
        slot = next(slot for slot in self._record.of_kind("hosts") if slot.index == one.index)
        if self._decide(f"host {one.name}", sentence, slot):
            self._retry(one, slot)

    def _retry(self, one: HostView, slot: Slot) -> None:
        self._hosts.retried(one)
        if one.gone:  # made anew
            self._record.put(replace(slot, id=None, stage=Stage.PLANNED, problem=""))
            self._make_all(plan.unfinished(self._record, "hosts"))
            return
        self._say(f"host {one.name} (id {one.id}): trying again")
        self._record.put(replace(slot, problem=""))
        self._attempt_call(lambda: self._site.enable(one.id))

    def _attempt_call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except HybridError as exc:
            self._say(str(exc))

    def _give_back_left_out(self) -> None:
        """Give hosts back that are left out and still there, those of a run that was killed then among them."""
        for slot in self._record.exists("hosts"):
            if slot.stage is not Stage.SKIPPED:
                continue
            try:
                self._returns.delete([slot])
            except HybridError as exc:
                self._say(f"{plan.label(slot)} is left out but stays: {exc}")
                continue
            self._record.put(replace(slot, id=None))
            self._site.store.save(self._record)

    def _see_off(self) -> None:
        """Wait until the machines of skipped hosts are gone."""
        if self._record.leaving:
            unconfirmed = self._returns.confirm()
            for one in unconfirmed:
                self._say(f"host {one.name}: its machine {one.machine or '(unknown)'} is not confirmed to be gone")
            self._site.store.save(self._record)

    # --- telling ----------------------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self._site.store.note(self._record, text)
        self._teller.say(text)

    def _enter(self, state: State, *, save: bool = False) -> None:
        if self._record.state is not state:
            self._record.state = state
            self._site.store.note(self._record, state.name)
            save = True
        if save:
            self._site.store.save(self._record)

    def _fail(self, sentence: str) -> None:
        self._record.problem = sentence
        self._enter(State.ERROR, save=True)


def _all_configuring(views: Sequence[HostView]) -> bool:
    pending = [one for one in views if not one.ready]
    return bool(pending) and all(one.state == "CONFIGURING" for one in pending)

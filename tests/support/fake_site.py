"""The fake provider behind a way that takes time, for agents that run in tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, cast

from tests.support.agent_fakes import FakeProvider, Truth
from tests.support.tasks import NEVER, Tasks

from hybrid_drivers.model import CreateRequest, Machine
from hybrid_drivers.providers.base import Provider


class Site(Protocol):
    """A provider as the world needs it."""

    host_keys: dict[str, str]

    def door(self, agent: str) -> Provider:
        """Return the provider as one front-end's agent reaches it."""

    def truths(self) -> list[Truth]:
        """Tell what all machines really are."""

    def next(self) -> float:
        """Return when something happens there by itself."""

    def happen(self) -> None:
        """Let happen what is due."""


class SlowDoor:
    """The provider as one front-end's agent reaches it: a call takes its time before it is carried out, and after."""

    def __init__(self, site: FakeSite, agent: str) -> None:
        self._site, self._provider, self._agent = site, site.provider, agent
        self.entry, self.limits = self._provider.entry, self._provider.limits
        self.idempotent_create = self._provider.idempotent_create
        self.takes_user_data, self.placements = self._provider.takes_user_data, self._provider.placements

    @contextmanager
    def _way(self) -> Iterator[None]:
        self._site.way()
        try:
            yield
        finally:
            self._site.way()

    def get(self, machine_id: str) -> Machine:
        with self._way():
            return self._provider.get(machine_id)

    def list(self, owner: str) -> Sequence[Machine]:
        with self._way():
            return self._provider.list(owner)

    def delete(self, machine_id: str) -> None:
        with self._way():
            self._provider.delete(machine_id)

    def power_on(self, machine_id: str) -> None:
        with self._way():
            self._provider.power_on(machine_id)

    def power_off(self, machine_id: str) -> None:
        self._provider.power_off(machine_id)

    reboot = reset = power_off

    def create(self, request: CreateRequest) -> Machine:
        if self._provider.turn:
            self._site.tasks.sleep(self._provider.turn)
        request.last_look()
        self._provider.checked(self._agent, request)
        with self._way():
            return self._provider.create(request, checked=True)


class FakeSite:
    """The fake provider as a site; ``latency`` is the longest a message to or from it takes."""

    def __init__(self, provider: FakeProvider, tasks: Tasks, latency: float) -> None:
        self.provider, self.tasks, self.latency = provider, tasks, latency
        self.host_keys = provider.host_keys

    def way(self) -> None:
        if self.latency:
            self.tasks.sleep(self.latency * self.tasks.chance.random())

    def door(self, agent: str) -> Provider:
        return cast(Provider, SlowDoor(self, agent))

    def truths(self) -> list[Truth]:
        return list(self.provider.truths())

    def next(self) -> float:
        return NEVER

    def happen(self) -> None:
        """Do nothing: its machines are looked at when somebody asks."""

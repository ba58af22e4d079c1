"""Machines at the fake provider that no agent of the world has made."""

from __future__ import annotations

from tests.support.agent_fakes import FakeProvider, Unit

from hybrid_drivers.model import CreateRequest, MachineTags, Placement


def put(provider: FakeProvider, tags: MachineTags) -> Unit:
    """Put a machine with these tags there."""
    request = CreateRequest(
        token=f"{tags.token}{len(provider.units)}",
        tags=tags,
        hostname=tags.name,
        placement=Placement(plan="small", place="here"),
        attributes={},
        user_data="ssh_keys: {ed25519_public: theirs}",
    )
    unit = provider.new(request)
    provider.units[unit.machine.id] = unit
    return unit

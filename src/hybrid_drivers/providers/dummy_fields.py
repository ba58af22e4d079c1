"""The keys the dummy driver understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hybrid_drivers.providers.base import Field, Setting
from hybrid_drivers.providers.driver import Driver

FAILURES = ("capacity", "quota", "permanent", "transient", "credentials", "throttled", "lost")


def _check(settings: Mapping[str, Setting]) -> Sequence[str]:
    fail = str(settings.get("fail", ""))
    return (
        [f"key 'fail' must be one of {', '.join(FAILURES)}, not '{fail[:40]}'"] if fail not in {"", *FAILURES} else []
    )


DRIVER = Driver(
    name="dummy",
    target="hybrid_drivers.providers.dummy:DummyProvider",
    settings=(
        Field(name="state", help="file that keeps the machines; without it they live as long as the process"),
        Field(name="network", help="where addresses come from, default 192.0.2.0/24"),
        Field(name="deploy_seconds", kind="number", help="how long a machine starts"),
        Field(name="delete_seconds", kind="number", help="how long a machine takes to go"),
        Field(name="sold_out", kind="list", help="plans of which there are none"),
        Field(name="fail", help=f"what every create ends with: {', '.join(FAILURES)}"),
        Field(name="fail_times", kind="number", help="how many creates fail, default all"),
    ),
    attributes=(Field(name="PLAN"), Field(name="METRO"), Field(name="OS"), Field(name="USERDATA")),
    check=_check,
)

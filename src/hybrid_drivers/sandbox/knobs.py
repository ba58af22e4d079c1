"""The knobs of a provider simulator: how slow, how full, how broken and how dishonest it is.

Every knob can be changed while the simulator runs: assign it (``knobs.list_lag = 5``), call :meth:`Knobs.change`, or
``PUT /_sandbox/knobs`` with a JSON object. Times are in seconds; ``time_scale`` divides all of them when they are used.
"""

from __future__ import annotations

import fnmatch
import random
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Union

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.sandbox.knob_kinds import KnobValue, Wait, check

Seconds = Union[float, str]  # a number, or "lognormal:<median>,<sigma>"


def _about(kind: str, help_text: str, choices: tuple[object, ...] = ()) -> dict[str, Any]:
    return {"kind": kind, "help": help_text, "choices": choices}


@dataclass(kw_only=True)
class Knobs:
    """One simulator's knobs. Assigning a wrong name or value raises ConfigError; reading is always valid.

    ``how often`` knobs take a probability below 1, or a whole number N: the next N of them, counted down in the knob.
    """

    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False, compare=False)
    _random: random.Random = field(default_factory=random.Random, init=False, repr=False, compare=False)

    queued: Seconds = field(
        default=0.1, metadata=_about("wait", "from the create call until the provider starts on the machine")
    )
    provisioning: Seconds = field(
        default=0.4, metadata=_about("wait", "until the machine is switched on the first time")
    )
    booting: Seconds = field(
        default=0.1, metadata=_about("wait", "least time from switched on to active; a real machine may take longer")
    )
    starting: Seconds = field(default=0.1, metadata=_about("wait", "power on of a stopped machine"))
    stopping: Seconds = field(default=0.1, metadata=_about("wait", "power off"))
    reinstalling: Seconds = field(default=0.4, metadata=_about("wait", "reinstall"))
    slow_delete: Seconds = field(default=0.1, metadata=_about("wait", "from the delete call until the machine is gone"))
    terminated_shown: Seconds = field(
        default=3600.0, metadata=_about("wait", "ec2: how long a terminated instance is still described")
    )
    latency: Seconds = field(default=0.0, metadata=_about("wait", "added to every reply"))
    time_scale: float = field(default=1.0, metadata=_about("positive", "divides every wait, the others here included"))

    capacity: Mapping[str, int] = field(
        default_factory=dict,
        metadata=_about("stock", "machines that fit at once: plan@place=N,...; unnamed: no limit"),
    )
    quota: int = field(default=0, metadata=_about("count", "machines the account may have at once; 0: no limit"))
    spot_price: Mapping[str, float] = field(
        default_factory=dict,
        metadata=_about("prices", "what spot machines cost an hour: plan@place=0.3,...; unnamed: nobody tells"),
    )
    spot_capacity: Mapping[str, int] = field(
        default_factory=dict,
        metadata=_about("stock", "spot machines that fit at once, as capacity, which holds besides"),
    )
    spot_quota: int = field(
        default=0, metadata=_about("count", "spot machines the account may have at once; 0: no limit")
    )
    spot_notice: Seconds = field(
        default=120.0, metadata=_about("wait", "from the notice that a spot machine is taken back until it is")
    )
    list_lag: Seconds = field(
        default=0.0, metadata=_about("wait", "how long lists miss a new machine, and still show one that is gone")
    )

    lost_reply: float = field(
        default=0,
        metadata=_about("how often", "creates that are carried out, then the connection is closed unanswered"),
    )
    lost_address_reply: float = field(
        default=0,
        metadata=_about("how often", "address calls that change something, are carried out and then not answered"),
    )
    address_quota: int = field(
        default=0, metadata=_about("count", "public IPv4 addresses the account may have at once; 0: no limit")
    )
    addresses_each: int = field(
        default=0,
        metadata=_about("count", "ec2: private addresses a machine may have, its first included; 0: no limit"),
    )
    error_rate: float = field(
        default=0.0, metadata=_about("share", "calls refused with error_status before anything is done")
    )
    error_status: int = field(default=500, metadata=_about("count", "what refused calls answer", (429, 500, 503)))
    error_calls: str = field(
        default="", metadata=_about("words", "only calls whose name holds this are refused, as in /_sandbox/calls")
    )
    retry_after: float = field(
        default=0.0, metadata=_about("rate", "Retry-After of refused calls, real seconds; 0: no such header")
    )
    rate_limit: float = field(default=0.0, metadata=_about("rate", "calls a real second before 429; 0: no limit"))

    gone_is_403: bool = field(
        default=False, metadata=_about("yes or no", "packet: a machine that is gone answers 403, not 404")
    )
    lying_delete: float = field(default=0, metadata=_about("how often", "deletes that answer success and do nothing"))
    fail_provisioning: float = field(
        default=0, metadata=_about("how often", "new machines that fail instead of becoming active")
    )
    fail_mode: str = field(default="failed", metadata=_about("words", "what becomes of those", ("failed", "vanish")))
    fail_reason: str = field(
        default="Server.InternalError", metadata=_about("words", "ec2: the StateReason code of a failed instance")
    )
    bad_host_key: bool = field(
        default=False, metadata=_about("yes or no", "machines boot with another SSH host key than user-data told")
    )
    no_ssh: bool = field(
        default=False, metadata=_about("yes or no", "machines become active but are never really switched on")
    )
    seed: int = field(
        default=0, metadata=_about("seed", "of everything random; setting it starts the same sequence again")
    )

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        checked = self._check(name, value)
        with self._lock:
            object.__setattr__(self, name, checked)
            if name == "seed":
                self._random = random.Random(int(value))

    @classmethod
    def _check(cls, name: str, value: object) -> KnobValue:
        known = {one.name: one.metadata for one in fields(cls) if one.metadata}
        if name not in known:
            raise ConfigError(f"there is no knob {name!r}; the knobs are {', '.join(known)}")
        return check(name, known[name]["kind"], value, known[name]["choices"])

    @classmethod
    def from_assignments(cls, assignments: Iterable[str]) -> Knobs:
        """Make knobs from ``name=value`` words of a command line; raises ConfigError."""
        changes: dict[str, str] = {}
        for word in assignments:
            name, equals, value = word.partition("=")
            if not equals:
                raise ConfigError(f"--knob {word!r} is not of the form name=value")
            several = name in ("capacity", "spot_capacity", "spot_price") and name in changes
            changes[name] = f"{changes[name]},{value}" if several else value
        knobs = cls()
        knobs.change(changes)
        return knobs

    def change(self, changes: Mapping[str, object]) -> None:
        """Set several knobs, all or none; raises ConfigError naming the first wrong one."""
        with self._lock:
            for name, value in changes.items():
                self._check(name, value)
            for name, value in changes.items():
                setattr(self, name, value)

    def as_dict(self) -> dict[str, KnobValue]:
        """Return every knob by name, as JSON can carry it."""
        with self._lock:
            values = {one.name: getattr(self, one.name) for one in fields(self) if one.metadata}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}

    def wait(self, name: str) -> float:
        """Draw the length of the wait called ``name`` in real seconds (``time_scale`` applied)."""
        with self._lock:
            return Wait.parse(getattr(self, name)).sample(self._random) / self.time_scale

    def strikes(self, name: str) -> bool:
        """Decide whether the trouble called ``name`` happens this time; counts a ``next N`` knob down."""
        with self._lock:
            value: float = getattr(self, name)
            if isinstance(value, int) and value >= 1:
                setattr(self, name, value - 1)
                return True
            return value > 0 and self._random.random() < value

    def room(self, plan: str, place: str, living: Mapping[str, int]) -> int | None:
        """Return how many more machines of ``plan`` fit into ``place``; None when nothing limits them.

        ``living`` counts today's machines by ``plan@place``; a capacity with ``*`` is shared by all it matches.
        """
        return _room(self.capacity, f"{plan}@{place}", living)

    def spot_room(self, plan: str, place: str, living: Iterable[str]) -> int | None:
        """Return the same of spot machines, by ``spot_capacity``; ``living`` names the place of each."""
        return _room(self.spot_capacity, f"{plan}@{place}", Counter(living))

    def spot_price_of(self, plan: str, place: str) -> float | None:
        """Return what a spot machine costs there; None where no price is set."""
        spot = f"{plan}@{place}"
        return next((price for key, price in self.spot_price.items() if fnmatch.fnmatchcase(spot, key)), None)


def _room(capacity: Mapping[str, int], spot: str, living: Mapping[str, int]) -> int | None:
    rules = [(key, limit) for key, limit in capacity.items() if fnmatch.fnmatchcase(spot, key)]
    left = [limit - sum(n for one, n in living.items() if fnmatch.fnmatchcase(one, key)) for key, limit in rules]
    return max(0, min(left)) if left else None

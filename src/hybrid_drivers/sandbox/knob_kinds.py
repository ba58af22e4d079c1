"""What kinds of values a knob takes, and how each is checked; shared by :mod:`knobs`."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

from hybrid_drivers.errors import ConfigError

KnobValue = Union[str, int, float, bool, Mapping[str, int], Mapping[str, float]]

_LOGNORMAL = re.compile(r"lognormal:\s*([0-9.eE+-]+)\s*,\s*([0-9.eE+-]+)")
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class Wait:
    """A length of time in seconds: ``median`` always, or log-normal around it when ``sigma`` is not 0."""

    median: float
    sigma: float = 0.0

    @classmethod
    def parse(cls, value: object) -> Wait:
        """Read a number of seconds or ``lognormal:<median>,<sigma>``; raises ValueError."""
        found = _LOGNORMAL.fullmatch(value.strip()) if isinstance(value, str) else None
        wait = cls(number(found[1]), number(found[2])) if found else cls(number(value))
        if wait.median < 0 or wait.sigma < 0:
            raise ValueError
        return wait

    def sample(self, chance: random.Random) -> float:
        """Draw one length in seconds."""
        return self.median * math.exp(chance.gauss(0, self.sigma)) if self.sigma else self.median


def number(value: object) -> float:
    """Read a finite number; raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError
    read = float(value)
    if not math.isfinite(read):
        raise ValueError
    return read


def _wait(value: object) -> KnobValue:
    wait = Wait.parse(value)
    return str(value).strip() if wait.sigma else wait.median


def _positive(value: object) -> KnobValue:
    if (read := number(value)) <= 0:
        raise ValueError
    return read


def _rate(value: object) -> KnobValue:
    if (read := number(value)) < 0:
        raise ValueError
    return read


def _count(value: object) -> KnobValue:
    read = number(value)
    if read < 0 or read != int(read):
        raise ValueError
    return int(read)


def _seed(value: object) -> KnobValue:
    return int(number(value))


def _share(value: object) -> KnobValue:
    if not 0 <= (read := number(value)) <= 1:
        raise ValueError
    return read


def _how_often(value: object) -> KnobValue:
    read = number(value)
    return _share(read) if read < 1 else _count(read)


def _yes_or_no(value: object) -> KnobValue:
    word = str(value).strip().lower()
    if word not in _YES + _NO:
        raise ValueError
    return word in _YES


def _words(value: object) -> KnobValue:
    if not isinstance(value, str):
        raise ValueError
    return value.strip()


def _stock(value: object) -> KnobValue:
    stock = {key: _count(one) for key, one in _by_place(value).items()}
    return {key: one for key, one in stock.items() if isinstance(one, int)}


def _prices(value: object) -> KnobValue:
    prices = {key: _rate(one) for key, one in _by_place(value).items()}
    return {key: one for key, one in prices.items() if isinstance(one, float)}


def _by_place(value: object) -> dict[str, object]:
    """Read values by ``plan@place``; raises ValueError."""
    if isinstance(value, Mapping):
        pairs = [(str(key), one) for key, one in value.items()]
    elif isinstance(value, str):
        split = [item.rpartition("=") for item in value.replace(";", ",").split(",") if item.strip()]
        pairs = [(key, one) for key, _, one in split]
    else:
        raise ValueError
    found: dict[str, object] = {key.strip(): one for key, one in pairs}
    if any(key.count("@") != 1 or not all(key.split("@")) for key in found):
        raise ValueError
    return found


_KINDS = {
    "wait": (_wait, "seconds, or lognormal:<median>,<sigma>"),
    "positive": (_positive, "a number above 0"),
    "rate": (_rate, "a number of calls a second, 0 for no limit"),
    "count": (_count, "a whole number, 0 or more"),
    "seed": (_seed, "a whole number"),
    "share": (_share, "a number from 0 to 1"),
    "how often": (_how_often, "a probability below 1, or how many of the next ones (1, 2, ...)"),
    "yes or no": (_yes_or_no, "true or false"),
    "words": (_words, "text"),
    "prices": (_prices, "plan@place=0.3 pairs separated by commas; * stands for any plan or place"),
    "stock": (_stock, "plan@place=N pairs separated by commas; * stands for any plan or place"),
}


def check(name: str, kind: str, value: object, choices: tuple[object, ...] = ()) -> KnobValue:
    """Bring ``value`` into the form knob ``name`` of this ``kind`` keeps.

    Raises:
        ConfigError: it is not of that kind, or not one of ``choices``.
    """
    parse, expected = _KINDS[kind]
    try:
        read = parse(value)
    except (ValueError, OverflowError) as exc:
        raise ConfigError(f"knob {name}: {value!r} is not {expected}") from exc
    if choices and read not in choices:
        raise ConfigError(f"knob {name}: {value!r} is not one of {', '.join(str(one) for one in choices)}")
    return read

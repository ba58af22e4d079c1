"""PROVISION attributes: which keys every driver accepts, and the checks that are the same for all."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Placement
from hybrid_drivers.providers.driver import Driver

# Keys that are not a driver's business: ours, OneProvision's 5.12 tags, and those of its 6.x templates.
GENERIC = frozenset(
    {
        "PROVIDER", "PROVIDER_NAME", "DRIVER", "PM_MAD", "DEPLOY_ID", "HOSTNAME", "PLAYBOOK", "RENAME", "TAGS",
        "DESCRIPTION", "NAME", "ID", "INDEX", "COUNT", "WAIT", "WAIT_TIMEOUT", "MODE", "STATE",
        "WHEN_STOPPED", "WHEN_LOST",
    }
)  # fmt: skip
GENERIC_PREFIXES = ("PROVISION_", "ONE_")
_YES = {"YES": True, "TRUE": True, "1": True, "NO": False, "FALSE": False, "0": False}


def canonical(attributes: Mapping[str, str], driver: Driver, source: str) -> dict[str, str]:
    """Return the attributes under the driver's own names, without empty ones.

    Raises:
        ConfigError: all that is unknown, is a credential, or is missing, joined with ``; ``.

    ``source`` names the provider entry in such a sentence.
    """
    known = {field.name: field for field in driver.attributes}
    found: dict[str, str] = {}
    problems = []
    for key, value in attributes.items():
        name = driver.aliases.get(key, key)
        if name in known or name in GENERIC or name.startswith(GENERIC_PREFIXES):
            text = value.strip(" \t")  # user-data keeps its last line end
            if text and found.setdefault(name, text) != text:
                problems.append(f"{key} and {name} mean the same and differ: give one of them")
        elif key in driver.inline:
            problems.append(f"{key} belongs into the provider entry ({source}): remove it from PROVISION")
        else:
            problems.append(unknown_key(key, f"PROVISION of driver {driver.name}", {*known, *GENERIC}))
    missing = [field for field in driver.attributes if field.required and field.name not in found]
    problems += [f"PROVISION lacks {field.name} ({field.help})" for field in missing]
    if problems:
        raise ConfigError("; ".join(problems))
    return found


def unknown_key(key: str, where: str, known: Iterable[str]) -> str:
    """Return the sentence about an unknown key, with the nearest known one."""
    return f"unknown key '{key[:60]}' for {where}{did_you_mean(key, known)}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def comma_list(value: str) -> list[str]:
    """Return the parts of a comma list, without blanks and empty ones."""
    return [part.strip() for part in value.split(",") if part.strip()]


def pairs_list(value: str, key: str) -> dict[str, str]:
    """Return ``a=1,b=2`` as a mapping; a part without ``=`` gets an empty value.

    Raises:
        ConfigError: a name is empty.
    """
    pairs = dict(part.partition("=")[::2] for part in comma_list(value))
    if "" in pairs:
        raise ConfigError(f"{key} must be a list like name=value,name=value")
    return {name.strip(): text.strip() for name, text in pairs.items()}


def truth(value: str, key: str) -> bool:
    """Return a YES/NO attribute as a boolean.

    Raises:
        ConfigError: it is neither.
    """
    try:
        return _YES[value.strip().upper()]
    except KeyError:
        raise ConfigError(f"{key} must be YES or NO, not '{value[:40]}'") from None


def candidates(plans: str, places: str) -> tuple[Placement, ...]:
    """Return every pair of two comma lists: all places of the first plan, then of the second."""
    return tuple(Placement(plan=plan, place=place) for plan in comma_list(plans) for place in comma_list(places))

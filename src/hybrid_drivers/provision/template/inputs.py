"""Values for a template's inputs: given on the command line, asked for, or their defaults; all checked.

Source: OpenNebula ``src/oneprovision/lib/provision/provision_config.rb`` (``eval_user_inputs``, ``ask_user_inputs``).
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping, Sequence

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers.attributes import did_you_mean
from hybrid_drivers.provision.template.inline import is_secret
from hybrid_drivers.provision.template.inputspecs import NAME
from hybrid_drivers.provision.template.model import InputSpec

Ask = Callable[[InputSpec], str]
_WORDS = {"yes": "YES", "true": "YES", "on": "YES", "no": "NO", "false": "NO", "off": "NO"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


def collect(inputs: Sequence[InputSpec], given: Mapping[str, str], ask: Ask | None) -> dict[str, str]:
    """Return the value of every input: the given one, else what ``ask`` answers (empty: the default), else the default.

    Raises:
        ConfigError: all that is unknown, missing or does not fit, joined with ``; ``.
    """
    known = [one.name for one in inputs]
    problems = [f"there is no input '{name[:60]}'{did_you_mean(name, known)}" for name in given if name not in known]
    values = {}
    for spec in inputs:
        try:
            values[spec.name] = _value(spec, given, ask)
        except ConfigError as exc:
            problems.append(str(exc))
    if problems:
        raise ConfigError("; ".join(problems))
    return values


def _value(spec: InputSpec, given: Mapping[str, str], ask: Ask | None) -> str:
    if spec.name in given:
        return checked(spec, given[spec.name])
    if ask is not None and spec.type != "fixed":
        return answered(spec, ask(spec))
    if spec.default is not None:
        return checked(spec, spec.default)
    if not spec.mandatory:
        return ""
    raise ConfigError(f"input '{spec.name}' has no value: give one with --user-inputs {spec.name}=VALUE")


def answered(spec: InputSpec, answer: str) -> str:
    """Return the value for what somebody typed; nothing typed means the default, or else the type's own.

    Raises:
        ConfigError: it does not fit.
    """
    if not answer:
        answer = spec.default if spec.default is not None else _fallback(spec)
    value = checked(spec, answer)
    # OneProvision encodes what is typed, and takes what is given on the command line as encoded already.
    return base64.b64encode(value.encode()).decode() if spec.type == "text64" else value


def _fallback(spec: InputSpec) -> str:
    if spec.type in ("range", "range-float"):
        return spec.min_value or ""
    if spec.type == "list":
        return next(iter(spec.options), "")
    return {"boolean": "NO", "number": "0", "number-float": "0"}.get(spec.type, "")


def checked(spec: InputSpec, value: str) -> str:
    """Return the value as expressions see it.

    Raises:
        ConfigError: it does not fit; secrets are not shown.
    """
    if not value and not spec.mandatory:
        return ""
    if expected := _fault(spec, value):
        hidden = spec.type == "password" or is_secret(spec.name)
        shown = "" if hidden else f", not '{value[:40]}'"
        raise ConfigError(f"input '{spec.name}' must be {expected}{shown}")
    return _WORDS[value.strip().lower()] if spec.type == "boolean" else value


def _fault(spec: InputSpec, value: str) -> str:
    """Say what the value must be when it is not; empty when it fits."""
    kind = spec.type
    if kind == "fixed":
        return "" if value == (spec.default or "") else "left as it is: it is fixed by the template"
    if kind == "boolean":
        return "" if value.strip().lower() in _WORDS else "YES or NO"
    if kind == "list":
        return "" if value in spec.options else f"one of {', '.join(spec.options)}"
    if kind in ("number", "range"):
        return _range(spec, value, "a whole number") if _WHOLE.fullmatch(value.strip()) else "a whole number"
    if kind in ("number-float", "range-float"):
        return _range(spec, value, "a number") if number(value) is not None else "a number"
    if kind == "array":
        return "" if any(part.strip() for part in value.split(";")) else "a list like a;b;c"
    return ""


def _range(spec: InputSpec, value: str, what: str) -> str:
    if not spec.type.startswith("range"):
        return ""
    low, high, found = number(spec.min_value), number(spec.max_value), number(value)
    if low is None or high is None or found is None or low <= found <= high:
        return ""  # a range without limits is told by validate
    return f"{what} from {spec.min_value} to {spec.max_value}"


def number(text: str | None) -> float | None:
    """Return a finite number, or None when it is none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in (text or "") else None


def parse_user_inputs(text: str) -> dict[str, str]:
    r"""Read ``a=b,c=d``: a comma in a value is written ``\,``, or the value is put in quotes (``a="x,y"``).

    Raises:
        ConfigError: a part is no ``name=value``, a name comes twice, or a quote is not closed.
    """
    values: dict[str, str] = {}
    at = 0
    while at < len(text):
        name, equals, _ = text[at:].partition("=")
        if not equals or not NAME.fullmatch(name.strip()):
            raise ConfigError(f"--user-inputs must be like name=value,name=value; '{text[at : at + 30]}' is not")
        value, at = _read_value(text, at + len(name) + 1)
        if name.strip() in values:
            raise ConfigError(f"--user-inputs gives '{name.strip()}' twice")
        values[name.strip()] = value
    return values


def _read_value(text: str, at: int) -> tuple[str, int]:
    """Return the value that begins at ``at``, and where the next part begins."""
    quote = text[at] if text[at : at + 1] in ('"', "'") else ""
    at += len(quote)
    found = []
    while at < len(text):
        char = text[at]
        if char == "\\" and text[at + 1 : at + 2] in (",", "\\", '"', "'"):
            found.append(text[at + 1])
            at += 2
            continue
        if char == (quote or ","):
            break
        found.append(char)
        at += 1
    if not quote:
        return "".join(found), at + 1
    if at >= len(text):
        raise ConfigError("--user-inputs: a quote is not closed")
    if text[at + 1 : at + 2] not in ("", ","):
        raise ConfigError("--user-inputs: after a quoted value there must be a comma")
    return "".join(found), at + 2

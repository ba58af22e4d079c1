"""One item of ``inputs``: its shape. Values given for it are checked by ``inputs.py``.

Source: OpenNebula ``src/oneprovision/lib/provision/provision_config.rb`` (``check_rule``, ``ask_user_inputs``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hybrid_drivers.providers.attributes import did_you_mean
from hybrid_drivers.provision.template.model import Data, InputSpec, Problem
from hybrid_drivers.provision.template.values import text_of, to_data, unknown_key
from hybrid_drivers.yamlfile import Table

TYPES = (
    "text", "text64", "password", "boolean", "number", "number-float", "range", "range-float", "list", "array", "fixed"
)  # fmt: skip
KEYS = ("name", "type", "description", "default", "options", "min_value", "max_value", "mandatory")
NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")  # what an expression can name


def read_input(tree: Table, file: str, key: str, problems: list[Problem]) -> InputSpec | None:
    """Return the input at ``key``, None when it has no usable name; what is wrong goes to ``problems``."""
    return _Reader(tree, file, key, problems).read()


@dataclass
class _Reader:
    tree: Table
    file: str
    key: str
    problems: list[Problem]

    def read(self) -> InputSpec | None:
        for key in self.tree.values:
            if key not in KEYS:
                self._say(key, unknown_key(key, KEYS))
        name, kind = self._text("name") or "", self._text("type") or "text"
        if kind not in TYPES:
            self._say("type", f"must be one of {', '.join(TYPES)}{did_you_mean(kind, TYPES)}")
        if not NAME.fullmatch(name):
            self._say("name", "must be letters, digits, '_' and '-'" if name else "is missing")
            return None
        minimum, maximum = self._limits()
        return InputSpec(
            name=name,
            type=kind if kind in TYPES else "text",
            description=self._text("description") or "",
            default=self._default(),
            options=self._options(),
            min_value=minimum,
            max_value=maximum,
            mandatory=self._mandatory(),
            file=self.file,
            line=self.tree.lines.get("name", self.tree.line),
        )

    def _data(self, key: str) -> Data:
        value = self.tree.values.get(key)
        return None if value is None else to_data(value)

    def _text(self, key: str) -> str | None:
        value = self._data(key)
        if isinstance(value, (list, dict)):
            self._say(key, "must be a single value")
            return None
        return None if value is None else str(text_of(value))

    def _default(self) -> str | None:
        """Return the default; one written as a list is an array's ``a;b``."""
        value = self._data("default")
        if isinstance(value, list) and not any(isinstance(one, (list, dict)) for one in value):
            return ";".join(text_of(one) for one in value)
        return self._text("default")

    def _options(self) -> tuple[str, ...]:
        value = self._data("options")
        if isinstance(value, list) and not any(isinstance(one, (list, dict, type(None))) for one in value):
            return tuple(str(text_of(one)) for one in value)
        if isinstance(value, str) and not self._is_range(value):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        if not isinstance(value, (str, type(None))):
            self._say("options", "must be a list of values")
        return ()

    def _limits(self) -> tuple[str | None, str | None]:
        """Return the limits, also when they are written as ``options: 1..10``, as other user inputs have them."""
        options = self._data("options")
        minimum, maximum = self._text("min_value"), self._text("max_value")
        if isinstance(options, str) and self._is_range(options):
            low, _, high = options.partition("..")
            return minimum or low.strip(), maximum or high.strip()
        return minimum, maximum

    def _is_range(self, options: str) -> bool:
        return ".." in options and (self._data("type") or "") in ("range", "range-float")

    def _mandatory(self) -> bool:
        value = self._data("mandatory")
        if not isinstance(value, (bool, type(None))):
            self._say("mandatory", "must be true or false")
        return value is not False

    def _say(self, key: str, text: str) -> None:
        line = self.tree.lines.get(key, self.tree.line)
        self.problems.append(Problem(file=self.file, line=line, key=f"{self.key}.{key[:60]}", text=text))

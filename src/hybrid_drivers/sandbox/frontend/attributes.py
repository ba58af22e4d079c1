"""The attributes of an object: a template that is changed, and its XML as oned writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hybrid_drivers.model import Template, Value


class Attributes:
    """What stands in an object's ``TEMPLATE``: oned keeps it sorted by name, equal names in the order they came."""

    def __init__(self, pairs: Iterable[tuple[str, Value]] = ()) -> None:
        self._values: dict[str, list[Value]] = {}
        self.add(Template(pairs))

    def add(self, template: Iterable[tuple[str, Value]]) -> None:
        """Add every pair; equal names stand side by side."""
        for name, value in template:
            self._values.setdefault(name, []).append(value)

    def merge(self, template: Iterable[tuple[str, Value]]) -> None:
        """Add ``template``; every name in it replaces all attributes of that name, vectors as a whole."""
        pairs = list(template)
        self.remove(*(name for name, _ in pairs))
        self.add(pairs)

    def remove(self, *names: str) -> None:
        """Forget all attributes of these names."""
        for name in names:
            self._values.pop(name, None)

    def set(self, name: str, value: Value) -> None:
        """Make ``value`` the only attribute called ``name``."""
        self._values[name] = [value]

    def text(self, name: str, default: str = "") -> str:
        """Return the first plain attribute called ``name``."""
        return next((value for value in self._values.get(name, ()) if isinstance(value, str)), default)

    def number(self, name: str) -> int:
        """Return a plain attribute as a whole number, 0 when it is absent or none (as oned's typed reads do)."""
        try:
            return int(float(self.text(name, "0")))
        except (ValueError, OverflowError):
            return 0

    def template(self) -> Template:
        """Return a copy to read from."""
        return Template((name, value) for name in sorted(self._values) for value in self._values[name])

    def xml(self, tag: str = "TEMPLATE", *, shown: Callable[[str, str], str] | None = None, extra: str = "") -> str:
        """Return ``<tag>...</tag>``; ``shown(name, value)`` may change how a top-level plain value is shown."""
        parts = [f"<{tag}>"]
        for name in sorted(self._values):
            for value in self._values[name]:
                if isinstance(value, str):
                    parts.append(f"<{name}>{cdata(shown(name, value) if shown else value)}</{name}>")
                else:
                    inner = "".join(f"<{key}>{cdata(value[key])}</{key}>" for key in sorted(value))
                    parts.append(f"<{name}>{inner}</{name}>")
        return "".join([*parts, extra, f"</{tag}>"])


def cdata(text: str) -> str:
    """Wrap a value as oned does; a ``]]>`` inside cannot come from a template, only from a name or a call."""
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"

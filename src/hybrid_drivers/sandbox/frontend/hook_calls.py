"""The calls of hooks. Facts: OpenNebula ``RequestManagerAllocate.cc`` (HookAllocate), ``HookPool.cc``, ``Hook.cc``.

There are no ``lock``, ``unlock``, ``retry`` and no log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused
from hybrid_drivers.sandbox.frontend.family import Family
from hybrid_drivers.sandbox.frontend.hook_objects import HookFault, HookObject
from hybrid_drivers.sandbox.frontend.pool import Pool
from hybrid_drivers.sandbox.frontend.store import Store, name_fault


class Hooks(Family[HookObject]):
    """Hooks; ``calls`` gives the names of all calls there are."""

    call, word, taken, root, named_once = "hook", "hook", "Hook", "HOOK", "all"

    def __init__(self, calls: Callable[[], Collection[str]]) -> None:
        self._calls = calls

    def pool(self, store: Store) -> Pool[HookObject]:
        """Return the hooks."""
        return store.hooks

    def xml(self, context: Context, one: HookObject, decrypt: bool) -> str:
        """Return the document."""
        return one.xml()

    def updated(self, context: Context, one: HookObject, attributes: Attributes) -> Attributes:
        """Refuse what a hook cannot be."""
        try:
            return one.check(attributes, self._calls())
        except HookFault as exc:
            raise Refused(Code.INTERNAL, f"Cannot update template. {exc}") from exc

    def allocate(self, context: Context, text: str) -> int:
        """one.hook.allocate."""
        attributes = self.read(text)
        if attributes.text("TYPE").lower() not in ("state", "api"):
            raise Refused(Code.INTERNAL, f"Invalid Hook type: {attributes.text('TYPE')}")
        name = attributes.text("NAME")
        attributes.remove("NAME")
        if name_fault(name):
            raise Refused(Code.INTERNAL, "Invalid name.")
        if (taken := self.pool(context.store).holder(name)) is not None:
            raise Refused(Code.INTERNAL, f"NAME is already taken by Hook {taken}.")
        try:
            made = HookObject.of(name, attributes, self._calls())
        except HookFault as exc:
            raise Refused(Code.INTERNAL, str(exc)) from exc
        return self.pool(context.store).put(made).id

    def methods(self) -> dict[str, Method]:
        """Hooks are oneadmin's: there is nothing to give away."""
        calls = super().methods()
        del calls["one.hook.chmod"], calls["one.hook.chown"]
        return {**calls, "one.hook.allocate": Method(self.allocate, "s", writes=True)}

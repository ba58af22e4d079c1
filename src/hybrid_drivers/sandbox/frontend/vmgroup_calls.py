"""The calls of VM groups. Facts: OpenNebula ``VMGroupPool.cc``, ``VMGroup.cc``."""

from __future__ import annotations

from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused
from hybrid_drivers.sandbox.frontend.family import Family
from hybrid_drivers.sandbox.frontend.pool import Pool
from hybrid_drivers.sandbox.frontend.store import Store
from hybrid_drivers.sandbox.frontend.vmgroup_objects import RoleObject, VmGroupObject


class VmGroups(Family[VmGroupObject]):
    """VM groups; roles are not changed later."""

    call, word, taken, root = "vmgroup", "VM group", "VMGroup", "VM_GROUP"

    def pool(self, store: Store) -> Pool[VmGroupObject]:
        """Return the groups."""
        return store.vm_groups

    def xml(self, context: Context, one: VmGroupObject, decrypt: bool) -> str:
        """Return the document."""
        return one.xml()

    def allocate(self, context: Context, text: str) -> int:
        """one.vmgroup.allocate: the name and the roles leave the template."""
        attributes = self.read(text)
        name = self.take_name(context, attributes)
        roles = attributes.template().vectors("ROLE")
        attributes.remove("ROLE")
        names = [one.get("NAME", "") for one in roles]
        if not all(names):
            raise Refused(Code.INTERNAL, "Missing NAME in VM group role")
        if len(set(names)) < len(names):
            raise Refused(Code.INTERNAL, "Role already exists")
        told = [{key: value for key, value in one.items() if key not in ("ID", "VMS")} for one in roles]
        made = VmGroupObject(id=-1, name=name, template=attributes, roles=[RoleObject(told=one) for one in told])
        return self.pool(context.store).put(made).id

    def methods(self) -> dict[str, Method]:
        """Add the call that makes one."""
        return {**super().methods(), "one.vmgroup.allocate": Method(self.allocate, "s", writes=True)}

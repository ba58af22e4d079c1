"""VM groups: roles, which machines are of them, and what their rules allow.

Not recorded. Facts: OpenNebula ``VMGroup.cc`` (to_xml, insert), ``VMGroupRole.cc`` (ROLES, VMS), ``VMGroupPool.cc``
(vmgroup_attribute). Of the rules there is the POLICY of roles; those between roles are only kept and shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.owned import OwnedObject


@dataclass(kw_only=True)
class RoleObject:
    """A role: what it was told to be, and its machines."""

    told: dict[str, str]
    vms: set[int] = field(default_factory=set)

    def allows(self, vm_id: int, there: set[int], everywhere: set[int]) -> bool:
        """Tell whether a machine may go to a host with those machines, the role's being on hosts ``everywhere``."""
        others = self.vms - {vm_id}
        policy = self.told.get("POLICY", "").upper()
        if policy == "ANTI_AFFINED":
            return not others & there
        return policy != "AFFINED" or not others & everywhere or bool(others & there)


@dataclass(kw_only=True)
class VmGroupObject(OwnedObject):
    """A VM group."""

    roles: list[RoleObject] = field(default_factory=list)

    def xml(self) -> str:
        """Return ``<VM_GROUP>``; VMS is shown only of roles that have some."""
        shown = Attributes()
        for number, role in enumerate(self.roles):
            vms = {"VMS": ",".join(map(str, sorted(role.vms)))} if role.vms else {}
            shown.add([("ROLE", {**role.told, "ID": str(number), **vms})])
        return f"<VM_GROUP>{self.head()}{self.rights()}{shown.xml('ROLES')}{self.template.xml()}</VM_GROUP>"


def roles_of(groups: Mapping[int, VmGroupObject], vm_id: int) -> Iterator[RoleObject]:
    """Yield the roles a machine is of: one at most."""
    return (role for group in groups.values() for role in group.roles if vm_id in role.vms)

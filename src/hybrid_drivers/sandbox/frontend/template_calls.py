"""Templates of virtual machines and of networks. Facts: recorded replies; OpenNebula ``TemplateAPI.cc`` and
``VNTemplateAPI.cc``."""

from __future__ import annotations

from hybrid_drivers.sandbox.frontend.calls import Context, Method
from hybrid_drivers.sandbox.frontend.family import Family
from hybrid_drivers.sandbox.frontend.owned import TemplateObject
from hybrid_drivers.sandbox.frontend.pool import Pool
from hybrid_drivers.sandbox.frontend.store import Store
from hybrid_drivers.sandbox.frontend.vnet_calls import Vnets


class _Templates(Family[TemplateObject]):
    def xml(self, context: Context, one: TemplateObject, decrypt: bool) -> str:
        """Return the document."""
        return one.xml(self.root)

    def allocate(self, context: Context, text: str) -> int:
        """one.<call>.allocate: the name comes in the template and leaves it."""
        attributes = self.read(text)
        made = TemplateObject(id=-1, name=self.take_name(context, attributes), template=attributes)
        return self.pool(context.store).put(made).id

    def methods(self) -> dict[str, Method]:
        """Add the call that makes one."""
        return {**super().methods(), f"one.{self.call}.allocate": Method(self.allocate, "s", writes=True)}


class VmTemplates(_Templates):
    """Templates of virtual machines."""

    call, word, taken, root = "template", "virtual machine template", "TEMPLATE", "VMTEMPLATE"

    def pool(self, store: Store) -> Pool[TemplateObject]:
        """Return the templates."""
        return store.templates

    def look(self, context: Context, object_id: int, _extended: bool = False, _decrypt: bool = False) -> str:
        """one.template.info: what ``extended`` adds of images and networks is left out."""
        return self.info(context, object_id)

    def methods(self) -> dict[str, Method]:
        """Take the arguments of this kind."""
        return {**super().methods(), "one.template.info": Method(self.look, "i|bb")}


class VnTemplates(_Templates):
    """Templates of networks."""

    call, word, taken, root = "vntemplate", "virtual network template", "VNTEMPLATE", "VNTEMPLATE"

    def pool(self, store: Store) -> Pool[TemplateObject]:
        """Return the templates."""
        return store.vntemplates

    def instantiate(self, context: Context, object_id: int, name: str, text: str = "") -> int:
        """one.vntemplate.instantiate: into the clusters of CLUSTER_IDS, or the default one."""
        one = self.get(context, object_id)
        attributes = self.read(one.template.template().render())
        attributes.merge(self.read(text).template())
        asked = {int(part) for part in one.template.text("CLUSTER_IDS").split(",") if part.strip().isdecimal()}
        attributes.set("NAME", name or f"{one.name}-{context.store.vnets.next_id}")
        attributes.set("TEMPLATE_ID", str(one.id))
        clusters = {part for part in asked if part in context.store.clusters} or {0}
        return Vnets().make(context, attributes, clusters, one.id)

    def methods(self) -> dict[str, Method]:
        """Add the call that makes a network."""
        return {**super().methods(), "one.vntemplate.instantiate": Method(self.instantiate, "is|s", writes=True)}

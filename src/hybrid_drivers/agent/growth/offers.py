"""What a cluster that grows may order: its plans with their sizes and prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hybrid_drivers.agent.accounts import Account, Accounts
from hybrid_drivers.agent.growth.model import HostView, Stage
from hybrid_drivers.agent.growth.packing import Offer
from hybrid_drivers.agent.growth.policy import Policy
from hybrid_drivers.agent.growth.sizes import Sizes
from hybrid_drivers.agent.growth.spot_offers import with_spot
from hybrid_drivers.agent.growth.stock import EMPTY
from hybrid_drivers.agent.record import GROWN, IM_MAD
from hybrid_drivers.agent.settings import Settings
from hybrid_drivers.agent.spec import merged
from hybrid_drivers.model import Cluster, Host
from hybrid_drivers.model_shares import HostShare
from hybrid_drivers.providers.prices import price_of

_KEYS = ("INSTANCETYPE", "INSTANCE_TYPE", "PLAN")


@dataclass(frozen=True, kw_only=True)
class Range:
    """What may be ordered. ``key`` is the attribute of PROVISION that names the plan; ``problem``: what is missing.

    ``others``: hosts of the cluster that growing did not make and that have no COST_HOUR yet, and what they cost.
    """

    offers: tuple[Offer, ...]
    key: str
    problem: str = ""
    others: Mapping[int, float] = field(default_factory=dict)

    def seen(self, host: HostView) -> HostView:
        """Add what the plan tells of a host: its price, and what else one on its way will have."""
        offer = next((one for one in self.offers if one.plan == host.plan), None)
        if offer and host.stage is Stage.COMING and host.stock == EMPTY:
            host = replace(host, stock=offer.stock)
        if host.price is None:
            host = replace(host, price=self.others.get(host.id, offer.price if offer else None))
        return host


def offers_of(
    cluster: Cluster,
    policy: Policy,
    hosts: Sequence[Host],
    settings: Settings,
    accounts: Accounts,
    *,
    shares: Mapping[int, HostShare],
) -> Range:
    """Return the plans of a policy (else of PROVISION) with size and price; the price is that of the dearest place.

    A plan whose size nobody tells is named in ``problem`` and left out.

    Raises:
        ConfigError: the cluster's PROVISION is wrong.
    """
    asked = merged(settings.provision, cluster.template.vector("PROVISION"))
    account, attributes = accounts.for_attributes(asked, f"cluster {cluster.name}")
    attributes = {**account.provider.entry.defaults, **attributes}
    key = next((one for one in _KEYS if attributes.get(one)), "PLAN")
    plans = policy.plans or tuple(one.strip() for one in attributes.get(key, "").split(",") if one.strip())
    known = Sizes(hosts, shares, account, cluster.template)
    offers, missing = [], []
    for plan in plans:
        size = known.size(plan)
        if size is None:
            missing.append(plan)
            continue
        price = _price(account, {**attributes, key: plan})
        offers.append(Offer(plan, size, price, stock=known.stock(plan, size)))
    offers, problems = with_spot(policy, offers, account, attributes, key)
    why = f" ({'; '.join(known.problems)})" if known.problems else ""
    text = f"the size of {', '.join(missing)} is not known{why}: add it to 'plans:' of provider entry {account.name}"
    if not plans:
        text = "there are no plans: name them in PLANS of ELASTIC or in PROVISION"
    others = _others(cluster, hosts, account, attributes, key)
    problems = [*([text] if missing or not plans else []), *problems]
    return Range(offers=tuple(offers), key=key, problem="; ".join(problems), others=others)


def _others(
    cluster: Cluster, hosts: Iterable[Host], account: Account, attributes: Mapping[str, str], key: str
) -> dict[int, float]:
    """Return what hosts made by hand cost, of several plans the dearest; the limits on cost hold for them too."""
    found = {}
    for host in hosts:
        own = host.template.vector("PROVISION")
        elsewhere = own.get("PROVIDER", account.name) != account.name or "DRIVER" in own
        known = host.template.text("COST_HOUR") or host.template.vector(GROWN)
        if host.im_mad != IM_MAD or host.cluster_id != cluster.id or elsewhere or known:
            continue
        plans = [one.strip() for one in own.get(key, attributes.get(key, "")).split(",") if one.strip()]
        prices = [_price(account, {**attributes, key: plan}) for plan in plans]
        told = [one for one in prices if one is not None]
        if told and len(told) == len(prices):
            found[host.id] = max(told)
    return found


def _price(account: Account, attributes: Mapping[str, str]) -> float | None:
    prices = [price_of(account.provider, one) for one in account.provider.placements(attributes)]
    told: Sequence[float] = [one.amount for one in prices if one is not None]
    return max(told) if told and len(told) == len(prices) else None

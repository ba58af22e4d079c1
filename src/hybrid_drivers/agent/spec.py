"""What a host should be: PROVISION attributes, connection and configuration, merged from all who may say something.

Host wins over cluster, cluster over the provider entry's defaults, those over ``hybrid.yaml``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import yaml

from hybrid_drivers.agent.accounts import Account, Accounts
from hybrid_drivers.agent.observed import Plan, Remedy
from hybrid_drivers.agent.record import GROWN
from hybrid_drivers.agent.settings import Settings
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.configuration import compile_configuration
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.model import Cluster, Host, Placement
from hybrid_drivers.providers.base import Power
from hybrid_drivers.secret import Secret

BOOKKEEPING = frozenset(  # written by us or by OneProvision, not part of what to rent
    {
        "DEPLOY_ID",
        "RENTED_FROM",
        "HOSTNAME",
        "NAME",
        "ID",
        "INDEX",
        "PROVISION_ID",
        "WAIT",
        "WAIT_TIMEOUT",
        "WHEN_STOPPED",
        "WHEN_LOST",
    }
)
PROVIDER_NEUTRAL = frozenset({"PLAYBOOK", "RENAME", "TAGS", "WHEN_STOPPED", "WHEN_LOST"})
REMEDIES = {  # what each attribute may say; the first is what holds when it says nothing
    "WHEN_STOPPED": (Remedy.SHOW, Remedy.POWER_ON, Remedy.REPLACE),
    "WHEN_LOST": (Remedy.SHOW, Remedy.REPLACE),
}


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A host's wishes, complete. ``attributes`` are without credentials."""

    plan: Plan
    account: Account
    attributes: Mapping[str, str]
    connection: Mapping[str, str]  # REMOTE_USER REMOTE_PORT PRIVATE_KEY PUBLIC_KEY TRUST_FIRST_USE, upper case
    parameters: Mapping[str, object]  # of the roles, OneProvision's names; values as the operator's YAML has them
    playbooks: tuple[str, ...]

    @property
    def login_user(self) -> str:
        """Return as whom to log in to the machine."""
        return self.connection.get("REMOTE_USER", "root")


def resolve(host: Host, cluster: Cluster | None, settings: Settings, accounts: Accounts) -> Spec:
    """Merge and check what ``host`` asks for.

    A host that has its machine keeps it, whatever becomes of the cluster's PROVISION: what to rent and how to
    configure it is then checked only when it is needed again.

    Raises:
        ConfigError: something is missing or wrong; the text names the attribute and where it stands.
    """
    own = host.template.vector("PROVISION")
    shared = cluster.template.vector("PROVISION") if cluster else {}
    asked = merged(settings.provision, shared, own)
    rented = bool(own.get("DEPLOY_ID"))
    meant = host.template.vector(GROWN).get("CLUSTER_ID", str(host.cluster_id))
    if not rented and meant != str(host.cluster_id):  # where it is now may have a provider of its own
        raise ConfigError(
            f"host {host.name} is being made for cluster {meant} and not in it yet: growing moves it there"
        )
    if not rented and not asked.keys() - BOOKKEEPING:
        where = f"host {host.name}" + (f" or cluster {cluster.name}" if cluster else "")
        raise ConfigError(f'no PROVISION on {where}: add PROVISION=[PROVIDER="...", PLAN="..."] to one of them')
    account, attributes = accounts.for_attributes(asked, f"host {host.name}")
    attributes = {**account.provider.entry.defaults, **attributes}
    plan = Plan(
        provider=account.name,
        spec_hash=_hash(attributes, account.digest),
        placements=_placements(account, attributes, rented),
        limits=account.provider.limits,
        idempotent_create=account.provider.idempotent_create,
        when_stopped=_remedy(attributes, "WHEN_STOPPED"),
        when_lost=_remedy(attributes, "WHEN_LOST"),
        switches=isinstance(account.provider, Power),
    )
    parameters = _parameters(host, cluster, settings)
    playbooks = tuple(p.strip() for p in attributes.get("PLAYBOOK", settings.playbook).split(",") if p.strip())
    spec = Spec(
        plan=plan,
        account=account,
        attributes=attributes,
        connection=_connection(host, cluster, settings, account),
        parameters=parameters,
        playbooks=playbooks,
    )
    if not rented:
        _check_configuration(playbooks, json.dumps(parameters, sort_keys=True, default=str), spec.login_user)
    return spec


def _remedy(attributes: Mapping[str, str], name: str) -> Remedy:
    """Return what is to be done, in any spelling: ``power-on``, ``POWER_ON``."""
    known = {one.value: one for one in REMEDIES[name]}
    said = attributes.get(name, "").strip()
    found = known.get(said.lower().replace("_", "-")) if said else REMEDIES[name][0]
    if found is None:
        raise ConfigError(f"{name} of PROVISION must be {' or '.join(known)}, not '{said[:40]}'")
    return found


def _placements(account: Account, attributes: Mapping[str, str], rented: bool) -> tuple[Placement, ...]:
    try:
        return account.provider.placements(attributes)
    except ConfigError:
        if rented:
            return ()
        raise


@lru_cache(maxsize=256)
def _check_configuration(playbooks: tuple[str, ...], parameters: str, login_user: str) -> None:
    """Compile the configuration, so that a wrong playbook or parameter is told before a machine is paid for."""
    private_key = Secret("the real one when it runs")
    facts = Facts(oneadmin_private_key=private_key, login_user=login_user, opennebula_version="0")
    compile_configuration(playbooks, json.loads(parameters), facts)


def merged(*layers: Mapping[str, str]) -> dict[str, str]:
    """Put the layers over each other; who names its own provider takes nothing over from below but what is not
    the provider's: otherwise credentials and plans of one would be given to another."""
    merged: dict[str, str] = {}
    for layer in layers:
        if any(key in layer and merged.get(key) != layer[key] for key in ("PROVIDER", "DRIVER")):
            merged = {k: v for k, v in merged.items() if k in PROVIDER_NEUTRAL}
        merged.update(layer)
    return merged


def _hash(attributes: Mapping[str, str], account_digest: str) -> str:
    what = {k: v for k, v in attributes.items() if k not in BOOKKEEPING | {"PLAYBOOK"}}
    text = json.dumps([account_digest, sorted(what.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _connection(host: Host, cluster: Cluster | None, settings: Settings, account: Account) -> dict[str, str]:
    shared = cluster.template.vector("PROVISION_CONNECTION") if cluster else {}
    entry = account.provider.entry
    named = {key.upper(): entry.text(key) for key in ("remote_user", "remote_port", "trust_first_use")}
    return {
        **settings.connection,
        **{k: v for k, v in named.items() if v},
        **shared,
        **host.template.vector("PROVISION_CONNECTION"),
    }


def _parameters(host: Host, cluster: Cluster | None, settings: Settings) -> dict[str, object]:
    merged: dict[str, object] = dict(settings.configuration)
    owners = [(f"cluster {cluster.name}", cluster.template)] if cluster else []
    for owner, template in [*owners, (f"host {host.name}", host.template)]:
        merged.update(_decoded(template.text("PROVISION_CONFIGURATION_BASE64"), owner))
    return merged


def _decoded(text: str, owner: str) -> dict[str, object]:
    if not text:
        return {}
    try:
        value = yaml.safe_load(base64.b64decode(text, validate=True).decode())
    except (binascii.Error, ValueError, yaml.YAMLError) as exc:
        raise ConfigError(f"PROVISION_CONFIGURATION_BASE64 of {owner} is not base64 of YAML") from exc
    if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
        raise ConfigError(f"PROVISION_CONFIGURATION_BASE64 of {owner} is not a YAML mapping of parameters")
    return value

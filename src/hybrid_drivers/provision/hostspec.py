"""What one host of a template becomes in oned: its drivers, and the attributes our information driver acts on.

Precedence is OneProvision's: the host's own sections over ``defaults``. Credentials never get into a host: those of a
5.12 template become a provider entry first (docs/decisions/003), a private key given as text becomes a file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Template, Value
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.providers.entries import entry_from_attributes
from hybrid_drivers.provision.dialects import host_configuration, machine_attributes
from hybrid_drivers.provision.record import Wishes
from hybrid_drivers.provision.template.inline import split_credentials
from hybrid_drivers.provision.template.model import Data, ObjectSpec, ProvisionTemplate
from hybrid_drivers.provision.template.render import to_plain, to_template

NEUTRAL = ("PLAYBOOK", "RENAME")  # they may change without another machine
NO_CONFIGURATION = "dummy"  # the playbook that does nothing


@dataclass(frozen=True, kw_only=True)
class HostSpec:
    """A host as it is to be made. ``attributes`` are PROVISION's, with neither credentials nor tag.

    ``account`` is the provider entry that a 5.12 template has inline; PROVIDER of ``attributes`` is its name.
    """

    hostname: str
    vm_mad: str
    attributes: Mapping[str, str]
    account: ProviderEntry | None
    connection: Mapping[str, str]
    configuration: Mapping[str, Data]
    extra: Template  # other attributes of the host

    @property
    def provider(self) -> str:
        """Return the name of the provider entry, empty when the template names none."""
        return self.attributes.get("PROVIDER", "")

    def attributes_of_machine(self) -> dict[str, str]:
        """Return the attributes a provider's driver looks at: those that say what to rent."""
        return {key: text for key, text in self.attributes.items() if key not in ("PROVIDER", *NEUTRAL)}

    def spec_hash(self) -> str:
        """Return a digest of what is rented and how it is configured, to tell later whether that changed."""
        what = [dict(self.attributes), dict(self.connection), self.configuration, self.vm_mad, self.extra.render()]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def host_spec(
    template: ProvisionTemplate, spec: ObjectSpec, wishes: Wishes, driver_of: Callable[[str], str]
) -> HostSpec:
    """Return what a host is to be; ``spec`` has ``defaults`` below it and its expressions replaced already.

    ``driver_of`` tells the driver of the provider entry with a name; it may raise ConfigError.

    Raises:
        ConfigError: a value cannot be an attribute of oned, or inline credentials are incomplete.
    """
    credentials, left = split_credentials(spec.provision)
    rest = as_attributes(left)
    account = None
    if credentials and not wishes.provider:
        account, _ = entry_from_attributes(credentials, f"{spec.file}:{spec.line}")
        provider, driver = account.name, account.driver
    else:
        provider = wishes.provider or rest.get("PROVIDER") or rest.get("PROVIDER_NAME") or template.provider
        driver = driver_of(provider) if provider else ""
    playbooks, configuration = host_configuration(_playbooks(template, rest, wishes), spec.configuration)
    attributes = {key: text for key, text in machine_attributes(driver, rest).items() if key != "HOSTNAME"}
    body = {key: value for key, value in spec.body.items() if key.lower() not in ("im_mad", "vm_mad", "name")}
    return HostSpec(
        hostname=rest.get("HOSTNAME", ""),
        vm_mad=str(spec.body.get("vm_mad") or "kvm"),
        attributes={
            **attributes,
            **({"PROVIDER": provider} if provider else {}),
            "PLAYBOOK": ",".join(playbooks),
        },
        account=account,
        connection=as_attributes(spec.connection),
        configuration=configuration,
        extra=to_template(body),
    )


def host_template(spec: HostSpec, tag: Mapping[str, str], keys: Path) -> Template:
    """Return the host's attributes; ``keys`` is the folder for a private key that was given as text.

    Raises:
        ConfigError: the key cannot be written.
    """
    hostname = {"HOSTNAME": spec.hostname} if spec.hostname else {}
    pairs: list[tuple[str, Value]] = [("PROVISION", {**spec.attributes, **hostname, **tag})]
    if connection := _with_key_file(spec.connection, keys):
        pairs.append(("PROVISION_CONNECTION", connection))
    if spec.configuration:
        text = yaml.safe_dump(to_plain(spec.configuration), sort_keys=True, allow_unicode=True)
        pairs.append(("PROVISION_CONFIGURATION_BASE64", base64.b64encode(text.encode()).decode()))
    return Template([*spec.extra, *pairs])


def as_attributes(section: Mapping[str, Data]) -> dict[str, str]:
    """Return a section of a template as attributes of a vector: upper-case keys, text only.

    A mapping becomes JSON, which is what the drivers take where they take one (packet's CUSTOMDATA).
    """
    flat = {key: json.dumps(to_plain(value)) if isinstance(value, dict) else value for key, value in section.items()}
    return {name: value for name, value in to_template(flat) if isinstance(value, str) and value}


def _playbooks(template: ProvisionTemplate, provision: Mapping[str, str], wishes: Wishes) -> Sequence[str]:
    if wishes.skip_config:
        return (NO_CONFIGURATION,)
    own = [one.strip() for one in provision.get("PLAYBOOK", "").split(",") if one.strip()]
    return own or template.playbooks or ("default",)


def _with_key_file(connection: Mapping[str, str], keys: Path) -> dict[str, str]:
    """Put a private key that is there as text into a file of its own, named by its digest."""
    text = connection.get("PRIVATE_KEY", "")
    if "PRIVATE KEY-----" not in text:
        return dict(connection)
    path = keys / f"provision-{hashlib.sha256(text.encode()).hexdigest()[:16]}.key"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text if text.endswith("\n") else text + "\n")
    except OSError as exc:
        raise ConfigError(f"the private key of the template cannot be kept in {path}: {exc.strerror}") from exc
    return {**connection, "PRIVATE_KEY": str(path)}

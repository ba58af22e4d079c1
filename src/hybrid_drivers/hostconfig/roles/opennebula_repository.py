"""Role ``opennebula-repository``: OpenNebula's own package repository, or none and the distribution's packages.

The key is fetched by the host and kept only when its fingerprint is one that was given; the repository is put into
place only once its packages could be listed with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.hostconfig import parameters, repository
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.primitives import command, packages
from hybrid_drivers.hostconfig.steps import Step, quote

_ROLE = "opennebula-repository"
# gpg reads fingerprints; apt itself needs only gpgv or sqv. Names: packages.debian.org, packages.ubuntu.com; gnupg2
# is what libdnf needs (BaseOS of all versions).
_TOOLS = {"debian": ("gpg", "ca-certificates"), "redhat": ("gnupg2", "ca-certificates")}


@dataclass(frozen=True)
class Parameters:
    """Names and defaults: OpenNebula ``share/oneprovision/ansible/roles/opennebula-repository/defaults/main.yml``.

    ``_version`` is that of the front-end by default (``6.10``: its newest maintenance release), ``_base`` made from
    it; a password in it (``https://user:password@...``) is kept where only root reads it. ``_gpgcheck`` is for
    packages, ``_repo_gpgcheck`` for the metadata of dnf; where there is apt, only the former counts. ``_enabled``,
    ``_key_url`` and ``_key_fingerprint`` are ours.
    """

    opennebula_repository_enabled: bool = True
    opennebula_repository_version: str = ""
    opennebula_repository_base: str = ""
    opennebula_repository_gpgcheck: bool = True
    opennebula_repository_repo_gpgcheck: bool = True
    opennebula_repository_key_url: str = repository.KEY_URL
    opennebula_repository_key_fingerprint: str = repository.FINGERPRINT


PARAMETERS = Parameters


def uses_repository(facts: Facts) -> bool:
    """Tell whether a node installs OpenNebula's own packages (``opennebula-node-kvm``) or the distribution's.

    Raises:
        ConfigError: ``opennebula_repository_enabled`` is neither yes nor no.
    """
    return parameters.parse(Parameters, facts.given).opennebula_repository_enabled


def extra_repositories(role: str) -> Step:
    """Have EPEL and CodeReady Builder enabled on Red Hat's systems; elsewhere it is always so.

    OpenNebula's documentation asks for both on nodes (7.0 ``kvm_node_installation``, 7.2 "OpenNebula Repositories");
    their names are those of OpenNebula/one-deploy ``roles/repository/defaults/main.yml``.
    """
    return command(
        role, "enable EPEL and CodeReady Builder", check="has_extra_repositories", apply="put_extra_repositories"
    )


def steps(given: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the steps.

    Raises:
        ConfigError: a value does not fit; the text names the variable.
    """
    if not given.opennebula_repository_enabled:
        return (command(_ROLE, "have no repository of OpenNebula", check="no_repository", apply="remove_repository"),)
    base = repository.base(
        given.opennebula_repository_base, given.opennebula_repository_version, facts.opennebula_version
    )
    checks = _checks(given)
    return (packages(_ROLE, _TOOLS), extra_repositories(_ROLE), *_key(given, checks), _source(base, checks))


def _key(given: Parameters, checks: str) -> Sequence[Step]:
    if checks == "0 0":
        return ()
    trusted = quote(" ".join(repository.fingerprints(given.opennebula_repository_key_fingerprint)))
    url = quote(repository.key_url(given.opennebula_repository_key_url))
    return (
        command(
            _ROLE,
            "trust the key of the repository",
            check=f"! key_is_wanted {checks} || repository_key_is {trusted}",
            apply=f"put_repository_key {trusted} {url}",
        ),
    )


def _source(base: repository.Base, checks: str) -> Step:
    arguments = f"{quote(base.url)} {checks}"
    return Step(
        role=_ROLE,
        name="use the repository of OpenNebula",
        check=f"repository_is {arguments}",
        apply=f"put_repository {arguments}",
        stdin=base.credentials.reveal(),
    )


def _checks(given: Parameters) -> str:
    return f"{int(given.opennebula_repository_gpgcheck)} {int(given.opennebula_repository_repo_gpgcheck)}"

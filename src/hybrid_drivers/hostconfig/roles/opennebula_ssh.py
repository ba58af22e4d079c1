"""Role ``opennebula-ssh``: who logs in how; oneadmin's keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.accounts import HOME, ONEADMIN, OWNER
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.primitives import authorized_key, command, directory, file
from hybrid_drivers.hostconfig.publickey import PublicKey
from hybrid_drivers.hostconfig.steps import Step

_ROLE = "opennebula-ssh"
_ROOT_LOGIN = ("yes", "no", "without-password", "prohibit-password", "forced-commands-only")


@dataclass(frozen=True)
class Parameters:
    """Names and defaults: OpenNebula ``share/oneprovision/ansible/roles/opennebula-ssh/defaults/main.yml``.

    ``_keys_import_root_keys``, which 6.x added, lets those in as oneadmin who may log in as root.
    """

    opennebula_ssh_manage_sshd: bool = True
    opennebula_ssh_sshd_passwordauthentication: bool = False
    opennebula_ssh_sshd_permitrootlogin: str = "without-password"
    opennebula_ssh_deploy_local: bool = True
    opennebula_ssh_deploy_private_key: bool = False
    opennebula_ssh_keys_import_root_keys: bool = False


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the steps.

    Raises:
        ConfigError: a value sshd does not know, or a private key is to be deployed and there is none.
    """
    found: list[Step] = []
    if parameters.opennebula_ssh_manage_sshd:
        found.append(_sshd(parameters, facts.login_user))
    found.append(directory(_ROLE, f"{HOME}/.ssh", mode="700", owner=OWNER))
    if parameters.opennebula_ssh_deploy_local:
        found += [authorized_key(_ROLE, ONEADMIN, HOME, PublicKey(key.strip())) for key in facts.oneadmin_keys]
    if parameters.opennebula_ssh_keys_import_root_keys:
        found.append(_root_keys())
    if parameters.opennebula_ssh_deploy_private_key:
        found += _private_key(facts)
    return found


def _root_keys() -> Step:
    path = f"{HOME}/.ssh/authorized_keys"
    return command(
        _ROLE,
        "let the keys of root log in as oneadmin",
        check=f'[ -e {path} ] && [ -z "$(missing_root_keys {path})" ]',
        # All of it is read before put_file takes the file's place.
        apply=f"{{ awk 1 {path} 2>/dev/null || true; : >>{path}; missing_root_keys {path}; }} |\n"
        f"        put_file {path} 600 {OWNER}",
    )


def _sshd(parameters: Parameters, login_user: str) -> Step:
    """Settings that come before all others: sshd takes the first value it meets (sshd_config(5)).

    They take effect only when sshd accepts them and we could still log in.
    """
    root_login = parameters.opennebula_ssh_sshd_permitrootlogin.lower()
    if root_login not in _ROOT_LOGIN:
        raise ConfigError(
            f"configuration: opennebula_ssh_sshd_permitrootlogin is '{root_login}', expected one of yes, "
            "no, without-password, prohibit-password, forced-commands-only"
        )
    if login_user == "root" and root_login in ("no", "forced-commands-only"):
        raise ConfigError(
            f"configuration: opennebula_ssh_sshd_permitrootlogin is '{root_login}', which would lock us out: we log in "
            "as root (REMOTE_USER)"
        )
    passwords = "yes" if parameters.opennebula_ssh_sshd_passwordauthentication else "no"
    wanted = root_login.replace("without-password", "prohibit-password")
    return command(
        _ROLE,
        "set how people log in",
        check=f"sshd_is {passwords} {wanted}",
        apply=f"put_sshd {passwords} {wanted}",
        triggers=("sshd",),
    )


def _private_key(facts: Facts) -> Sequence[Step]:
    """Put oneadmin's key pair: the private key is in this file alone, on the host nothing else ever holds it."""
    if facts.oneadmin_private_key is None:
        raise ConfigError(
            "configuration: opennebula_ssh_deploy_private_key is yes, but oneadmin has no private key here"
        )
    public = facts.oneadmin_keys[0].strip() if facts.oneadmin_keys else ""
    path = f"{HOME}/.ssh/id_{PublicKey(public).kind if public else 'rsa'}"
    text = facts.oneadmin_private_key.reveal()
    found = [file(_ROLE, path, text, mode="600", owner=OWNER, name="put the key of oneadmin")]
    if public:
        found.append(file(_ROLE, f"{path}.pub", f"{public}\n", owner=OWNER, name="put the public key of oneadmin"))
    return found

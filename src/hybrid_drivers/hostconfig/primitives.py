"""The dozen things roles are made of; each returns one step. The shell side is in the ``.sh`` files here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hybrid_drivers.hostconfig.publickey import PublicKey
from hybrid_drivers.hostconfig.steps import Step, all_of, quote, words
from hybrid_drivers.hostconfig.systems import PerSystem, chosen

ROOT = "root:root"


def require(role: str, name: str, check: str) -> Step:
    """Make a step that changes nothing and fails, with what ``check`` prints, when it does not hold."""
    return Step(role=role, name=name, check=check, must=True)


def command(role: str, name: str, *, check: str, apply: str, triggers: Sequence[str] = ()) -> Step:
    """Make a step of a check and an apply written for it alone."""
    return Step(role=role, name=name, check=check, apply=apply, triggers=tuple(triggers))


def packages(role: str, names: Sequence[str] | PerSystem, *, name: str = "install packages") -> Step:
    """Install packages, the same everywhere or each system's own; those there already are not upgraded."""
    if isinstance(names, Mapping):
        before, listed = "# shellcheck disable=SC2046 # several names\n    ", chosen(names)
    else:
        before, listed = "", words(*names)
    check, apply = (f"{before}{verb} {listed}" for verb in ("have_packages", "install_packages"))
    return Step(role=role, name=name, check=check, apply=apply)


def file(
    role: str,
    path: str,
    content: str,
    *,
    mode: str = "644",
    owner: str = ROOT,
    triggers: Sequence[str] = (),
    then: str = "",
    name: str = "",
) -> Step:
    """Have a file with exactly this content, mode and ``user:group``; ``then`` runs after it was written.

    The content never becomes an argument of a program, so it may be secret.
    """
    where = words(path, mode, owner)
    return Step(
        role=role,
        name=name or f"write {path}",
        check=f"file_is {where}",
        apply=f"put_file {where}\n    {then or ':'}",
        stdin=content,
        triggers=tuple(triggers),
    )


def checked_file(role: str, path: str, content: str, *, accepted_by: str, mode: str = "440", owner: str = ROOT) -> Step:
    """Have a file that is only put into place once the command ``accepted_by FILE`` has accepted it."""
    where = words(path, mode, owner)
    return Step(
        role=role,
        name=f"write {path}",
        check=f"file_is {where}",
        apply=f"put_checked_file {where} {accepted_by}",
        stdin=content,
    )


def directory(role: str, path: str, *, mode: str = "755", owner: str = ROOT) -> Step:
    """Have a folder with this mode and ``user:group``."""
    where = words(path, mode, owner)
    return Step(role=role, name=f"make folder {path}", check=f"folder_is {where}", apply=f"make_folder {where}")


def line(role: str, path: str, text: str, *, name: str, triggers: Sequence[str] = ()) -> Step:
    """Have this line in a file, which is made when missing; other lines stay."""
    return Step(
        role=role,
        name=name,
        check=f"has_line {words(path, text)}",
        apply=f"add_line {quote(path)}",
        stdin=f"{text}\n",
        triggers=tuple(triggers),
    )


def setting(role: str, path: str, key: str, value: str, *, triggers: Sequence[str] = ()) -> Step:
    """Have one line ``key = value`` in a file of settings; ``key`` is plain letters, other lines stay."""
    arguments = words(path, key, f"{key} = {value}")
    return Step(
        role=role,
        name=f"set {key} in {path}",
        check=f"setting_is {arguments}",
        apply=f"put_setting {arguments}",
        triggers=tuple(triggers),
    )


def authorized_key(role: str, user: str, home: str, key: PublicKey) -> Step:
    """Let ``key`` log in as ``user``; other keys of that user stay. The user's group has the user's name."""
    path = quote(f"{home}/.ssh/authorized_keys")
    is_there = f"grep -qs {quote(f'^[^#]*{key.blob}')} {path}"
    return Step(
        role=role,
        name=f"let a key of the front-end log in as {user}",
        check=all_of(is_there, f'[ "$(stat -c %a:%U {path})" = {quote(f"600:{user}")} ]'),
        # awk ends a last line that lacks its newline
        apply=f"{{ awk 1 {path} 2>/dev/null || true; cat; }} | put_file {path} 600 {quote(f'{user}:{user}')}",
        stdin=f"{key.line}\n",
    )


def group(role: str, name: str, gid: int) -> Step:
    """Have a group; one of that name with another id is left as it is."""
    return Step(
        role=role,
        name=f"make group {name}",
        check=f"getent group {quote(name)} >/dev/null",
        apply=f"groupadd -g {gid} {quote(name)}",
    )


def user(role: str, name: str, uid: int, *, group: str, home: str) -> Step:
    """Have a user who can log in with a key only; one of that name with another id is left as it is.

    The password is ``*``, not ``!``: sshd without PAM takes the latter for a locked account (sshd(8)).
    """
    options = words("-g", group, "-d", home, "-M", "-s", "/bin/bash", "-p", "*", name)
    return Step(
        role=role,
        name=f"make user {name}",
        check=f"getent passwd {quote(name)} >/dev/null",
        apply=f"useradd -u {uid} {options}",
    )


def member(role: str, user: str, group: str) -> Step:
    """Have ``user`` in a group that exists."""
    return Step(
        role=role,
        name=f"add {user} to group {group}",
        check=f"is_member {words(user, group)}",
        apply=f"usermod -aG {words(group, user)}",
    )


def service(role: str, unit: str, *, socket: str = "", verb: str = "restart") -> Step:
    """Have a systemd unit enabled and running; after a step that ``triggers`` it, ``verb`` (restart or reload) it.

    ``socket`` is the unit that starts it on demand: then it need not run itself.
    """
    units = words(*filter(None, (unit, socket)))
    return Step(role=role, name=f"run {unit}", check=f"service_is {units}", apply=f"put_service {words(unit, verb)}")


def sysctl(role: str, key: str, value: str) -> Step:
    """Have a kernel setting, now and after a reboot."""
    path = f"/etc/sysctl.d/90-opennebula-hybrid-{key.replace('.', '-').replace('/', '-')}.conf"
    where = words(path, "644", ROOT)
    write = f"printf '%s\\n' {quote(value)} >\"$(sysctl_path {quote(key)})\""
    return Step(
        role=role,
        name=f"set kernel parameter {key}",
        check=all_of(f"file_is {where}", f"sysctl_is {words(key, value)}"),
        apply=f"put_file {where}\n    sysctl_is {words(key, value)} || {write}",
        stdin=f"{key} = {value}\n",
    )


def kernel_module(role: str, name: str) -> Step:
    """Have a kernel module loaded, now and after a reboot; in a container that is only noted."""
    where = words(f"/etc/modules-load.d/opennebula-hybrid-{name}.conf", "644", ROOT)
    return Step(
        role=role,
        name=f"load kernel module {name}",
        check=all_of(f"file_is {where}", f"module_is {quote(name)}"),
        apply=f"put_file {where}\n    module_is {quote(name)} || modprobe {quote(name)}",
        stdin=f"{name}\n",
    )

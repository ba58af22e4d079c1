"""The images that real sandbox machines start from: one a suite, built by debootstrap and kept in a cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hybrid_drivers.errors import SandboxError
from hybrid_drivers.sandbox.machines import recipe, suites
from hybrid_drivers.sandbox.machines.archive_key import keyring
from hybrid_drivers.sandbox.machines.commands import require, run
from hybrid_drivers.sandbox.machines.sources import fetch, host_apt_settings, host_sources, sources_file
from hybrid_drivers.sandbox.machines.suites import Suite

log = logging.getLogger(__name__)
BUILD_TOOLS = ("debootstrap", "chroot", "apt-config", "gpgv")
BUILD_LIMIT = 1800.0  # seconds; a minute on a near mirror
_SCRIPTS = Path("/usr/share/debootstrap/scripts")


def cache_folder() -> Path:
    """Return where images are kept: ``/var/cache/onehybrid-sandbox`` for root, below ``$XDG_CACHE_HOME`` else."""
    if os.geteuid() == 0:
        return Path("/var/cache/onehybrid-sandbox")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onehybrid-sandbox"


def image_path(
    suite: Suite = suites.SUITES[suites.DEFAULT], *, extra_packages: Sequence[str] = (), cache: Path | None = None
) -> Path:
    """Return where the image of this recipe is or will be; its name holds a hash of everything it depends on."""
    text = json.dumps(
        [
            [repr(suite), recipe.PLAYBOOK_PACKAGES, sorted(extra_packages)],
            [recipe.MASKED_UNITS, dict(recipe.FILES), recipe.fetch_script(())],
            [source.line() for source in host_sources(suite)],
        ]
    )
    return (cache or cache_folder()) / f"{suite.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def ensure_image(
    suite: Suite = suites.SUITES[suites.DEFAULT], *, extra_packages: Sequence[str] = (), cache: Path | None = None
) -> Path:
    """Return the image's folder, building it first when it is not there yet. Nobody writes to it.

    Two processes never build the same image twice: the second waits for the first.

    Args:
        suite: the system to build.
        extra_packages: packages whose archives shall lie in the image besides ``recipe.PLAYBOOK_PACKAGES``.
        cache: folder to keep it in instead of :func:`cache_folder`.

    Raises:
        MirrorUnreachable: the suite's archive cannot be reached.
        SandboxError: a tool is missing or the build failed; the text names the log file.
    """
    target = image_path(suite, extra_packages=extra_packages, cache=cache)
    if target.is_dir():
        return target
    if os.geteuid() != 0:
        raise SandboxError("building the image of real sandbox machines needs root")
    require(BUILD_TOOLS)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent / f".{target.name}.lock"):
        if not target.is_dir():
            log.info("making the %s image of sandbox machines in %s; it takes a minute or two", suite.title, target)
            _build_into(target, suite, extra_packages)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build_into(target: Path, suite: Suite, extra_packages: Sequence[str]) -> None:
    for stale in target.parent.glob(f".building-{target.name}-*"):  # of a killed builder: we hold the lock
        shutil.rmtree(stale)
    mirror = host_sources(suite)[0].uri
    fetch(f"{mirror}/dists/{suite.name}/InRelease")  # else debootstrap's many lines would hide why
    keys = keyring(suite, mirror, target.parent)
    folder = Path(tempfile.mkdtemp(prefix=f".building-{target.name}-", dir=target.parent))
    folder.chmod(0o755)
    log = target.parent / f"{target.name}.log"
    try:
        run(_bootstrap(suite, folder, mirror, keys), timeout=BUILD_LIMIT, log=log)
        _settle(folder, suite)
        packages = [*recipe.PLAYBOOK_PACKAGES, *extra_packages]
        run(["chroot", str(folder), "sh"], stdin=recipe.fetch_script(packages), timeout=BUILD_LIMIT, log=log)
        _leave_names_to(folder, suite)
        folder.rename(target)
    except SandboxError as exc:
        raise SandboxError(f"the image of sandbox machines was not built: {exc}; see {log}") from exc
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bootstrap(suite: Suite, folder: Path, mirror: str, keys: Path) -> list[str]:
    """Return debootstrap's command; one older than the suite takes the script that all newer suites share."""
    argv = ["debootstrap", "--variant=minbase", "--force-check-gpg", f"--keyring={keys}"]
    argv += [f"--components={','.join(suite.components)}", f"--include={','.join(suite.packages)}"]
    script = (
        suite.name if (_SCRIPTS / suite.name).exists() else {"debian": "sid", "ubuntu": "gutsy"}[suite.distribution]
    )
    return [*argv, suite.name, str(folder), mirror, str(_SCRIPTS / script)]


def _settle(folder: Path, suite: Suite) -> None:
    sources = dict([sources_file(suite, host_sources(suite))])
    (folder / "etc/apt/sources.list").unlink(missing_ok=True)
    settings = {"etc/apt/apt.conf.d/60sandbox-mirror": host_apt_settings(), "etc/resolv.conf": host_resolver()}
    for name, text in {**recipe.FILES, **sources, **settings}.items():
        _write(folder / name, text)


def _leave_names_to(folder: Path, suite: Suite) -> None:
    """Who resolves names: systemd-resolved by way of its stub (systemd-resolved.service(8)), or nobody so far."""
    _write(folder / "etc/resolv.conf", "")
    if suite.netplan:
        (folder / "etc/resolv.conf").unlink()
        (folder / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)


def host_resolver() -> str:
    """Return a resolv.conf that works outside this computer: a local stub is replaced by what stands behind it.

    systemd-resolved keeps the real servers in ``/run/systemd/resolve/resolv.conf`` (systemd-resolved.service(8)).
    """
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        text = path.read_text() if path.is_file() else ""
        servers = [line.split()[1] for line in text.splitlines() if line.startswith("nameserver ")]
        if any(not server.startswith("127.") for server in servers):
            return text
    return ""

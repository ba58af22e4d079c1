"""The image that real sandbox machines start from: Debian 12, built once by debootstrap and kept in a cache folder."""

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
from hybrid_drivers.sandbox.machines import recipe
from hybrid_drivers.sandbox.machines.commands import require, run

log = logging.getLogger(__name__)
BUILD_TOOLS = ("debootstrap", "chroot", "apt-config")
BUILD_LIMIT = 1800.0  # seconds; a minute on a near mirror


def cache_folder() -> Path:
    """Return where images are kept: ``/var/cache/onehybrid-sandbox`` for root, below ``$XDG_CACHE_HOME`` else."""
    if os.geteuid() == 0:
        return Path("/var/cache/onehybrid-sandbox")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onehybrid-sandbox"


def image_path(extra_packages: Sequence[str] = (), cache: Path | None = None) -> Path:
    """Return where the image of this recipe is or will be; its name holds a hash of everything it depends on."""
    text = json.dumps(
        [
            [recipe.SUITE, recipe.BASE_PACKAGES, recipe.PLAYBOOK_PACKAGES, sorted(extra_packages)],
            [recipe.MASKED_UNITS, dict(recipe.FILES), recipe.fetch_script(())],
            [source.line() for source in recipe.host_sources()],
        ]
    )
    return (cache or cache_folder()) / f"{recipe.SUITE}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def ensure_image(extra_packages: Sequence[str] = (), cache: Path | None = None) -> Path:
    """Return the image's folder, building it first when it is not there yet. Nobody writes to it.

    Two processes never build the same image twice: the second waits for the first.

    Args:
        extra_packages: Debian packages whose archives shall lie in the image besides ``recipe.PLAYBOOK_PACKAGES``.
        cache: folder to keep it in instead of :func:`cache_folder`.

    Raises:
        SandboxError: a tool is missing or the build failed; the text names the log file.
    """
    target = image_path(extra_packages, cache)
    if target.is_dir():
        return target
    if os.geteuid() != 0:
        raise SandboxError("building the image of real sandbox machines needs root")
    require(BUILD_TOOLS)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent / f".{target.name}.lock"):
        if not target.is_dir():
            log.info("making the image of sandbox machines in %s; this takes a minute or two, once", target)
            _build_into(target, extra_packages)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build_into(target: Path, extra_packages: Sequence[str]) -> None:
    for stale in target.parent.glob(f".building-{target.name}-*"):  # of a killed builder: we hold the lock
        shutil.rmtree(stale)
    folder = Path(tempfile.mkdtemp(prefix=f".building-{target.name}-", dir=target.parent))
    folder.chmod(0o755)
    log = target.parent / f"{target.name}.log"
    try:
        _bootstrap(folder, log)
        _settle(folder)
        packages = [*recipe.PLAYBOOK_PACKAGES, *extra_packages]
        run(["chroot", str(folder), "sh"], stdin=recipe.fetch_script(packages), timeout=BUILD_LIMIT, log=log)
        (folder / "etc/resolv.conf").write_text("")
        folder.rename(target)
    except SandboxError as exc:
        raise SandboxError(f"the image of sandbox machines was not built: {exc}; see {log}") from exc
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bootstrap(folder: Path, log: Path) -> None:
    source = recipe.host_sources()[0]
    argv = ["debootstrap", "--variant=minbase", f"--include={','.join(recipe.BASE_PACKAGES)}"]
    run([*argv, recipe.SUITE, str(folder), source.uri], timeout=BUILD_LIMIT, log=log)


def _settle(folder: Path) -> None:
    files = dict(recipe.FILES)
    files["etc/apt/sources.list"] = "".join(f"{source.line()}\n" for source in recipe.host_sources())
    files["etc/apt/apt.conf.d/60sandbox-mirror"] = recipe.host_apt_settings()
    files["etc/resolv.conf"] = host_resolver()
    for name, text in files.items():
        path = folder / name
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

"""What the image of a sandbox machine gets besides its suite's packages: settings, and archives of what is installed.

Everything here is part of the recipe's hash, so a change makes a new image.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from hybrid_drivers.hostconfig.nodepackages import DEBIAN_KVM, DEBIAN_LXC

# Only fetched, so that configuring is quick and needs no mirror. The last two are of playbook evpn.
PLAYBOOK_PACKAGES: tuple[str, ...] = tuple(dict.fromkeys((*DEBIAN_KVM, *DEBIAN_LXC, "frr", "frr-pythontools")))

# Units that only cost time or fight over apt's lock in a laboratory; those a suite lacks do no harm.
MASKED_UNITS: tuple[str, ...] = (
    *("console-getty.service", "getty@tty1.service", "systemd-networkd-wait-online.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("motd-news.timer", "e2scrub_reap.service"),
)

# Files of the image. journald keeps to memory: hundreds of machines share one disk.
FILES: Mapping[str, str] = {
    "etc/systemd/journald.conf.d/sandbox.conf": "[Journal]\nStorage=volatile\nRuntimeMaxUse=8M\n",
    "etc/ssh/sshd_config.d/50-sandbox.conf": "PermitRootLogin prohibit-password\n"
    "PasswordAuthentication no\nUseDNS no\n",
    "etc/dpkg/dpkg.cfg.d/sandbox": "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n"
    "path-exclude=/usr/share/locale/*\n",
    "etc/apt/apt.conf.d/50sandbox": 'Binary::apt::APT::Keep-Downloaded-Packages "true";\nAPT::Keep-Downloaded-Packages'
    ' "true";\nAcquire::Languages "none";\nAcquire::Retries "2";\n',
}


def fetch_script(packages: Sequence[str]) -> str:
    """Return the shell program that runs inside the new image: lists and archives of ``packages``, then tidy up.

    At its end the image counts as up to date, so that a first boot does not rebuild caches (systemd-update-done(8)).
    """
    names = " ".join(shlex.quote(name) for name in packages)
    masks = " ".join(MASKED_UNITS)
    return f"""set -e
apt-get -q update
apt-get -qy --download-only --no-install-recommends install {names}
for unit in {masks}; do ln -sf /dev/null "/etc/systemd/system/$unit"; done
systemctl enable systemd-networkd.service
rm -f /etc/ssh/ssh_host_* /etc/machine-id /var/lib/dbus/machine-id
: >/etc/machine-id
touch -r /usr /etc/.updated /var/.updated
"""

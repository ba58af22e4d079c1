"""Small signed package repositories, made and served inside a test's machine, laid out as OpenNebula's are.

Each holds ``one-tiny`` of versions 9.1 and 9.2, below ``http://127.0.0.1:8080/repo/<version>/<system>/<release>``, with
everything else beside it that a test of package installation needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.node import Node

SERVER = "http://127.0.0.1:8080"
# Serves the same to user "me" with password "se:cret", and to nobody else.
LOCKED = "127.0.0.1:8081"


@dataclass(frozen=True)
class Keys:
    """Fingerprints of the two keys a machine has: ``good`` signs the repositories, ``bad`` signs nothing.

    Served as ``good.key``, ``bad.key`` and ``both.key`` (the bad one first).
    """

    good: str
    bad: str


_KEYS = """
mkdir -p -m 700 /srv/keys; cd /srv; export GNUPGHOME=/srv/keys
for who in good bad; do
    gpg --batch --quiet --passphrase '' --quick-gen-key "$who <$who@example.org>" rsa2048 sign never 2>/dev/null
    gpg --armor --export $who@example.org >$who.key
done
cat bad.key good.key >both.key
cat >locked.py <<'END'
import base64, http.server
class Locked(http.server.SimpleHTTPRequestHandler):
    def send_head(self):
        if self.headers["Authorization"] == "Basic " + base64.b64encode(b"me:se:cret").decode():
            return super().send_head()
        self.send_response(401); self.send_header("WWW-Authenticate", 'Basic realm="x"'); self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", 8081), Locked).serve_forever()
END
systemd-run --quiet --unit=locked --working-directory=/srv python3 locked.py
systemd-run --quiet --unit=packages --working-directory=/srv python3 -m http.server --bind 127.0.0.1 8080
gpg --with-colons --list-keys 2>/dev/null | sed -n 's/^fpr:*//p' | tr -d :
"""

_DEB = """
cat >/srv/lib.sh <<'END'
set -e; export GNUPGHOME=/srv/keys
deb() { # folder, name, version, further control lines, postinst
    rm -rf /tmp/deb; mkdir -p /tmp/deb/DEBIAN /tmp/deb/usr/share/"$2"
    printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: x <x@example.org>\\nDescription: test\\n%b' \\
        "$2" "$3" "$4" >/tmp/deb/DEBIAN/control
    [ -z "$5" ] || { printf '#!/bin/sh\\n%b\\n' "$5" >/tmp/deb/DEBIAN/postinst; chmod 755 /tmp/deb/DEBIAN/postinst; }
    head -c 1000000 /dev/zero >/tmp/deb/usr/share/"$2"/data
    dpkg-deb -Znone --build /tmp/deb "$1/$2_$3_all.deb" >/dev/null
}
index() { # folder of a distribution, with its packages in pool/
    cd "$1"; lists=dists/stable/opennebula/binary-amd64; mkdir -p $lists
    for file in pool/*.deb; do
        dpkg-deb -f "$file" Package Version Architecture Maintainer Depends Description
        printf 'Filename: %s\\nSize: %s\\nSHA256: %s\\n\\n' "$file" "$(stat -c %s "$file")" \\
            "$(sha256sum "$file" | cut -d ' ' -f 1)"
    done >$lists/Packages
    { printf 'Suite: stable\\nComponents: opennebula\\nArchitectures: amd64\\nDate: %s\\nSHA256:\\n' "$(date -Ru)"
      printf ' %s %s %s\\n' "$(sha256sum $lists/Packages | cut -d ' ' -f 1)" "$(stat -c %s $lists/Packages)" \\
          opennebula/binary-amd64/Packages; } >dists/stable/Release
    gpg --batch --yes --quiet -u good@example.org --clearsign -o dists/stable/InRelease dists/stable/Release
}
END
. /srv/lib.sh
for version in 9.1 9.2; do
    folder=/srv/repo/$version/Debian/12; mkdir -p $folder/pool
    deb $folder/pool one-tiny $version '' ''
    deb $folder/pool one-needs $version 'Depends: one-needed\\n' ''
    deb $folder/pool one-needed $version '' ''
    deb $folder/pool one-slow $version '' ': >/srv/began; sleep 4'
    deb $folder/pool one-broken $version '' 'echo it does not work here >&2; exit 7'
    index $folder
done
"""

_RPM = """
set -e; export GNUPGHOME=/srv/keys
mkdir -p /etc/rpm
printf '%%_dbpath /var/lib/rpm\\n%%_gpg_name good@example.org\\n%%__gpg /usr/bin/gpg\\n' >/etc/rpm/macros
rpm --initdb
rm -f /etc/dnf/plugins/local.conf # a repository of its own, of what was installed before
build() { # folder, name, version, further lines of the preamble, post script, files
    printf 'Name: %s\\nVersion: %s\\nRelease: 1\\nSummary: test\\nLicense: MIT\\nBuildArch: noarch\\n%b\\n' \\
        "$2" "$3" "$4" >/tmp/one.spec
    printf '%%description\\ntest\\n%%install\\nmkdir -p %%{buildroot}/usr/share/%s %%{buildroot}/etc/yum.repos.d\\n' \\
        "$2" >>/tmp/one.spec
    printf 'echo data >%%{buildroot}/usr/share/%s/data\\n%b\\n' "$2" "$7" >>/tmp/one.spec
    [ -z "$5" ] || printf '%%post\\n%b\\n' "$5" >>/tmp/one.spec
    printf '%%files\\n/usr/share/%s\\n%b\\n' "$2" "$6" >>/tmp/one.spec
    rpmbuild -bb --quiet --define "_rpmdir $1" --define '_build_name_fmt %%{NAME}-%%{VERSION}.rpm' /tmp/one.spec \\
        >/tmp/rpmbuild.log 2>&1 || { cat /tmp/rpmbuild.log; exit 1; }
    rpmsign --addsign "$1/$2-$3.rpm" >/dev/null 2>&1
}
index() {
    createrepo_c --quiet "$1"
    gpg --batch --yes --quiet -u good@example.org --detach-sign --armor "$1/repodata/repomd.xml"
}
arch=$(uname -m)
for family in AlmaLinux RedHat; do for version in 9.1 9.2; do
    folder=/srv/repo/$version/$family/MAJOR/$arch; mkdir -p $folder
    build $folder one-tiny $version '' 'echo ran >>/srv/tiny-ran' '' ''
    build $folder one-slow $version 'Requires: one-needed' ': >/srv/began; sleep 4; echo ran >>/srv/slow-ran' '' ''
    build $folder one-needed $version 'Recommends: one-weak' '' '' ''
    build $folder one-weak $version '' '' '' ''
    build $folder one-foreign $version '' '' '' ''
    rpmsign --define '_gpg_name bad@example.org' --resign $folder/one-foreign-$version.rpm >/dev/null 2>&1
    index $folder
done; done
printf '[BUILDER]\\nname=Builder\\nbaseurl=file:///srv/empty\\ngpgcheck=0\\n' >/srv/builder
extras=/srv/extras; mkdir -p $extras /srv/empty /etc/yum.repos.d
build $extras epel-release 1 '' '' '/etc/yum.repos.d/epel.repo' \\
    "sed s/BUILDER/epel/ /srv/builder >%{buildroot}/etc/yum.repos.d/epel.repo"
build $extras dnf-plugins-core 1 'Provides: dnf-command(config-manager)' '' '' ''
build $extras gnupg2 1 '' '' '' ''
build $extras ca-certificates 1 'Provides: /bin/sh' '' '' ''
index $extras; createrepo_c --quiet /srv/empty
printf '[extras]\\nname=Extras\\nbaseurl=file:///srv/extras\\ngpgcheck=0\\n' >/etc/yum.repos.d/extras.repo
{ cat /srv/builder; echo enabled=0; } >/etc/yum.repos.d/builder.repo
"""


def make_keys(node: Node) -> Keys:
    """Make two keys and serve /srv over HTTP."""
    install(node, "gpg", "gpg-agent")
    good, bad = node.says(_KEYS).split()
    return Keys(good, bad)


def make_deb_repositories(node: Node) -> None:
    """Make the repositories of 9.1 and 9.2 for Debian 12, with a slow, a broken and a needy package."""
    _patiently(node, _DEB)


def publish_deb(node: Node, version: str, package: str, new: str) -> None:
    """Put a new version of ``package`` in place of the one in the repository of ``version``."""
    node.says(
        f". /srv/lib.sh; rm $folder/pool/{package}_*; deb $folder/pool {package} {new} '' ''; index $folder".replace(
            "$folder", f"/srv/repo/{version}/Debian/12"
        )
    )


def make_rpm_repositories(node: Node, *, major: str, builder: str) -> None:
    """Make those of 9.1 and 9.2 for AlmaLinux and RHEL, and the system's own: ``extras`` and, disabled, ``builder``.

    ``one-slow`` needs ``one-needed``, which recommends ``one-weak``; ``one-foreign`` is signed by the bad key.
    """
    _patiently(node, _RPM.replace("MAJOR", major).replace("BUILDER", builder))


def install(node: Node, *packages: str) -> None:
    """Install packages of Debian that the test itself needs."""
    _patiently(node, f"apt-get update -q && apt-get install -qy --no-install-recommends {' '.join(packages)}")


def _patiently(node: Node, command: str) -> None:
    with node.connect() as session:
        result = session.run(command, timeout=300)
    assert result.code == 0, result.stderr + result.stdout

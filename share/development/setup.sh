#!/bin/sh
# Makes a clone ready for work: Debian packages (as root, only missing ones), .venv, the package in it, editable.
# Called by the Makefile: setup.sh packages | setup.sh venv. Quiet unless something fails.
set -eu
cd "$(dirname "$0")/../.."

# What the sandbox's machines (debootstrap to systemd-container), the tests and the lint run.
packages='ca-certificates debootstrap gpgv gpg debian-archive-keyring iproute2 iptables nftables'
packages="$packages systemd-container openssh-client openssh-server shellcheck"

fail() {
    echo "setup: $*" >&2
    exit 1
}
install() { # install PACKAGE...: those that are missing
    missing=''
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    echo "setup: installing Debian packages:$missing"
    said=$(mktemp)
    keep_services_down
    # shellcheck disable=SC2086  # a list of words
    if ! { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $missing; } \
        >"$said" 2>&1 </dev/null; then
        restore_services
        tail -n 20 "$said" >&2
        rm -f "$said"
        fail "apt-get could not install:$missing"
    fi
    rm -f "$said"
    restore_services
}
# The tests start an sshd of their own; installing one must not open this machine to the network. Debian asks
# policy-rc.d before it starts a service; 101 means no.
policy=/usr/sbin/policy-rc.d
keep_services_down() {
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    barred=yes
}
restore_services() {
    [ -n "${barred:-}" ] || return 0
    rm -f "$policy"
    barred=''
    case $missing in *openssh-server*) ;; *) return 0 ;; esac
    [ ! -d /run/systemd/system ] || systemctl --quiet disable ssh.service ssh.socket 2>/dev/null || true
}
trap restore_services EXIT
trap 'exit 1' HUP INT TERM
can_install() { [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; }
usable() { # usable PYTHON: 3.10 or newer, able to make virtual environments
    command -v "$1" >/dev/null &&
        "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}
find_python() {
    for python in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.10; do
        if usable "$python"; then return 0; fi
    done
    return 1
}

case ${1:-} in
    packages)
        # shellcheck disable=SC2086  # a list of words
        if can_install; then install $packages; fi
        ;;
    venv)
        if ! usable .venv/bin/python; then
            find_python || { can_install && install python3 python3-venv && find_python; } ||
                fail "no Python 3.10 or newer that can make a virtual environment; install python3 and python3-venv"
            rm -rf .venv
            echo "setup: making .venv with $("$python" -V)"
            "$python" -m venv .venv
        fi
        .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input -e '.[dev]' ||
            fail "pip could not install the package and its tools, see above"
        touch .venv/.ready
        ;;
    *) fail "usage: setup.sh packages|venv" ;;
esac

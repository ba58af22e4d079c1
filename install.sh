#!/bin/sh
# Installs the OpenNebula Hybrid Drivers on a front-end, or removes them. `./install.sh -h` says how.
# Folders and flags follow OpenNebula's own install.sh. share/install/place.py puts the files; this script finds a
# Python, makes the virtual environment and starts it.
set -eu
umask 022 # what oneadmin runs must be readable to it, whatever root's own habit; secrets get their modes below

usage() {
    cat <<'TEXT'
Usage: install.sh [-u USER] [-g GROUP] [-d ONE_LOCATION] [-k] [-l] [-r] [-h] [--hooks] [--wheels DIR] [--python PATH]

  -u USER        owner of configuration, state and remotes (default: oneadmin; with -d: owner of ONE_LOCATION)
  -g GROUP       group of the same
  -d DIR         self-contained installation in DIR (ONE_LOCATION); without it, system-wide
  -k             keep configuration files of these drivers that were edited
  -l             link instead of copying (development): remotes, and the virtual environment of the checkout
  -r             remove what was installed and what was added to OpenNebula's configuration
  -h             show this text
  --hooks        register three hooks with oned, which has to run: public addresses then follow virtual machines where
                 VNMAD_LOCAL_ACTIONS cannot be set, too. -r deletes them. Later: onehybrid hooks install|remove|check
  --wheels DIR   offline: install Python packages from the wheel files in DIR only
  --python PATH  the Python to use, 3.10 or newer (default: the newest one found)

The environment variable DESTDIR puts everything below a folder (packaging).
TEXT
}

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

user='' group='' location='' wheels='' python='' command=put
keep='' link='' hooks='' destdir=${DESTDIR:-}
needs() {
    if [ $# -lt 2 ] || [ -z "$2" ]; then fail "$1 needs a value; install.sh -h lists the options"; fi
}
while [ $# -gt 0 ]; do
    case $1 in
        -u) needs "$@"; user=$2; shift ;;
        -g) needs "$@"; group=$2; shift ;;
        -d) needs "$@"; location=$2; shift ;;
        -k) keep=--keep ;;
        -l) link=--link ;;
        -r) command=remove ;;
        -h | --help) usage; exit 0 ;;
        --hooks) hooks=yes ;;
        --wheels) needs "$@"; wheels=$2; shift ;;
        --python) needs "$@"; python=$2; shift ;;
        *) fail "unknown option $1; install.sh -h lists the options" ;;
    esac
    shift
done
[ -z "$wheels" ] || [ -d "$wheels" ] || fail "--wheels: $wheels is not a folder"
[ -z "$hooks" ] || [ -z "$destdir" ] || fail "--hooks speaks with a running oned, which there is none of below DESTDIR"

source=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)

# --- where ---------------------------------------------------------------------------------------------------------
absolute() {
    mkdir -p -- "$1" && (CDPATH='' cd -- "$1" && pwd)
}
if [ "$command" = remove ]; then
    [ -z "$location" ] || [ -d "$destdir$location" ] || fail "$location is not a folder"
fi
[ -z "$destdir" ] || destdir=$(absolute "$destdir")
if [ -n "$location" ]; then
    case $location in /*) ;; *) location=$PWD/$location ;; esac
    [ -n "$destdir" ] || location=$(absolute "$location")
fi
case $location in *[[:space:]]*) fail "'$location' has blanks in it, which an interpreter line cannot hold" ;; esac
lib=${location:+$location/lib}
lib=${lib:-/usr/lib/one}/hybrid
venv=$lib/venv
state=${location:-/var/lib/one}${location:+/var}/hybrid

# --- who -----------------------------------------------------------------------------------------------------------
if [ "$(id -u)" -eq 0 ]; then
    if [ -n "$location" ] && [ -z "$destdir" ]; then
        : "${user:=$(stat -c %U -- "$location")}" "${group:=$(stat -c %G -- "$location")}"
    elif id oneadmin >/dev/null 2>&1; then
        : "${user:=oneadmin}" "${group:=oneadmin}"
    fi
    [ -n "$user$destdir" ] ||
        fail "there is no user oneadmin on this machine: install OpenNebula first, or give -u and -g"
elif [ -z "$location$destdir" ]; then
    fail "a system-wide installation needs root; use sudo, or -d for a self-contained one"
fi
if [ "$command" = put ] && [ -z "$location$destdir" ] && [ ! -e /etc/one/oned.conf ]; then
    fail "/etc/one/oned.conf does not exist, so this is no OpenNebula front-end; install OpenNebula first, or give -d"
fi

# --- which Python --------------------------------------------------------------------------------------------------
new_enough() {
    "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}
runs_for_owner() { # a Python in root's own folders is of no use to oneadmin
    if [ "$(id -u)" -ne 0 ] || [ -n "$destdir$link" ] || [ -z "$user" ] || [ "$user" = root ]; then return 0; fi
    program=$("$1" -I -c 'import os, sys; print(os.path.realpath(sys.executable))')
    runuser -u "$user" -- "$program" -I -c '' 2>/dev/null
}
find_python() {
    if [ -n "$python" ]; then
        new_enough "$python" || fail "$python is not a Python 3.10 or newer"
        runs_for_owner "$python" || fail "$user may not run $python: choose one outside of private folders"
        return
    fi
    for python in python3 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
        if command -v "$python" >/dev/null && new_enough "$python" && runs_for_owner "$python"; then return; fi
    done
    fail "no Python 3.10 or newer found; install one (Debian, Ubuntu: apt install python3 python3-venv;" \
        "RHEL, Alma, Rocky: dnf install python3.11) or name it with --python"
}
use_checkout_venv() {
    if [ -n "$python" ]; then
        find_python
        checkout_venv=$("$python" -c 'import sys; print(sys.prefix)')
    else
        checkout_venv=$source/.venv
        [ -d "$checkout_venv" ] || checkout_venv=${VIRTUAL_ENV:-}
        [ -n "$checkout_venv" ] || fail "-l needs a virtual environment to link: make setup makes $source/.venv"
    fi
    python=$checkout_venv/bin/python
    [ -x "$python" ] || fail "$checkout_venv is no virtual environment: it has no bin/python"
    new_enough "$python" || fail "$python is not a Python 3.10 or newer"
    package=$("$python" -I -c 'import hybrid_drivers; print(*hybrid_drivers.__path__)' 2>/dev/null) ||
        fail "$checkout_venv does not have this package; run '$python -m pip install -e $source' first"
}

# --- virtual environment -------------------------------------------------------------------------------------------
# What the environment was made from: the same again needs no pip.
fingerprint() {
    if [ -n "$wheel" ]; then
        (sha256sum <"$wheel" && "$python" -VV) | sha256sum | cut -d ' ' -f 1
        return
    fi
    (cd "$source" && find pyproject.toml setup.py src -type f ! -path '*.egg-info/*' ! -path '*/__pycache__/*' \
        -exec sha256sum {} + | LC_ALL=C sort -k 2 && "$python" -VV) | sha256sum | cut -d ' ' -f 1
}
find_wheel() { # sets wheel: our own package among --wheels, empty when it is to be built from this checkout
    wheel=''
    [ -n "$wheels" ] || return 0
    for wheel in "$wheels"/opennebula_hybrid_drivers-*.whl; do :; done
    [ -e "$wheel" ] || wheel=''
}
build=''
extras=''
from=''
made_venv=''
undo=''
changed=''
clean_up() {
    [ -z "$build" ] || rm -rf -- "$build"
    [ -z "$extras" ] || rm -rf -- "$extras"
    [ -z "$made_venv" ] || rm -rf -- "$made_venv"
    if [ -n "$undo" ] && [ -e "$destdir$lib/manifest.json" ]; then place remove >/dev/null || true; fi
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

quietly() { # runs a command; when it fails, shows the end of what it said and then one sentence
    said=$build/said
    why=$1
    shift
    "$@" >"$said" 2>&1 || {
        tail -n 15 "$said" >&2
        fail "$why"
    }
}
make_venv() {
    real=$destdir$venv
    find_wheel
    print=$(fingerprint)
    if [ ! -L "$real" ] && [ "$(cat "$real/.installed-from" 2>/dev/null)" = "$print" ]; then return; fi
    build=$(mktemp -d)
    if [ -L "$real" ]; then rm -- "$real"; fi
    [ -e "$real" ] || made_venv=$real
    place begin
    if [ ! -x "$real/bin/python" ]; then
        "$python" -I -c 'import venv, ensurepip' 2>/dev/null ||
            fail "$python cannot make virtual environments; install its module (Debian, Ubuntu: apt install" \
                "python3-venv; RHEL, Alma, Rocky: it comes with python3) or name another Python with --python"
        quietly "the virtual environment $venv could not be made" "$python" -m venv "$real"
    fi
    echo "installing Python packages into $venv"
    rm -f -- "$real/.installed-from"
    install_package
    # Under DESTDIR the programs must name the Python that will be there, not the one that was here.
    [ -z "$destdir" ] || grep -lIr -- "$real" "$real/bin" "$real/pyvenv.cfg" | xargs -r sed -i "s|$real|$venv|g"
    echo "$print" >"$real/.installed-from"
}
install_package() {
    if [ -n "$wheel" ]; then
        what="${wheel}[ec2]"
    else
        # Built from a copy: a build writes into its source, which may belong to someone else.
        mkdir "$build/source"
        (cd "$source" && cp -R pyproject.toml setup.py README.md LICENSE src "$build/source")
        what="$build/source[ec2]"
    fi
    set -- "$real/bin/python" -m pip install --disable-pip-version-check --no-input
    [ -z "$wheels" ] || set -- "$@" --no-index --find-links "$wheels"
    sentence="the Python packages could not be installed into $venv, see above (no network? use --wheels)"
    quietly "$sentence" "$@" "$what"
    # pip leaves an installed version alone when the new one has the same number.
    [ -n "$made_venv" ] || quietly "$sentence" "$@" --no-deps --force-reinstall "$what"
    changed=yes
}
# Completion scripts and manual pages, written by the commands themselves. Nothing depends on them.
make_extras() {
    program=$destdir$venv/bin/python kept=''
    if [ -n "$link" ]; then # the checkout's environment keeps those of each state of its sources
        program=$python
        kept=$checkout_venv/share/hybrid-extras-$(find "$package" -name '*.py' -printf '%T@\n' | sort -n | tail -n 1)
        if [ -d "$kept" ]; then
            from=$kept
            return
        fi
    fi
    extras=$(mktemp -d)
    from=$extras
    "$program" -I -B -m hybrid_drivers.cli.extras "$extras" >/dev/null 2>&1 || {
        rm -rf -- "$extras"
        mkdir "$extras"
        echo "note: completion scripts and manual pages could not be made; the drivers do not need them"
        return
    }
    # An environment that belongs to somebody else is left as it is.
    [ -z "$kept" ] || keep_extras 2>/dev/null || true
}
keep_extras() { # whole or not at all: others may be installing at the same time
    for old in "$checkout_venv"/share/hybrid-extras-*; do
        case $old in "$kept"*) ;; *) rm -rf -- "$old" ;; esac
    done
    chmod 755 "$extras" && mkdir -p -- "$checkout_venv/share"
    cp -R -- "$extras" "$kept.$$"
    mv -T -- "$kept.$$" "$kept" 2>/dev/null || rm -rf -- "$kept.$$"
}

# --- go ------------------------------------------------------------------------------------------------------------
place() {
    set -- "$@" --source "$source" --location "$location" --destdir "$destdir" --user "$user" --group "$group"
    # shellcheck disable=SC2086  # keep and link are a flag or nothing
    "$python" -E -s -B "$source/share/install/place.py" "$@" --venv "${checkout_venv:-}" --extras "$from" \
        $keep $link $units
}
stop_agent() { # the next call of oned starts it again
    if [ -z "$destdir" ] && [ -S "$state/agent.sock" ] && [ -x "$venv/bin/onehybrid" ]; then
        ONE_LOCATION=$location "$venv/bin/onehybrid" agent stop >/dev/null 2>&1 || true
    fi
}
# Hooks are oned's, not files: 'onehybrid hooks' notes in $state/hooks that there may be some.
ask_oned() { # as the owner, with its one_auth
    set -- env ONE_LOCATION="$location" "$venv/bin/onehybrid" hooks "$@"
    if [ "$(id -u)" -eq 0 ] && [ -n "$user" ] && [ "$user" != root ]; then
        set -- runuser -u "$user" -- env HOME="$(getent passwd "$user" | cut -d : -f 6)" "$@"
    fi
    "$@" 2>&1
}
register_hooks() {
    said=$(ask_oned install) || fail "everything is installed but the hooks: ${said#Error: }"
    echo "$said"
}
delete_hooks() {
    [ -z "$destdir" ] && [ -e "$state/hooks" ] || return 0
    if said=$(ask_oned remove); then
        echo "$said"
    else
        echo "note: the hooks are still in oned: ${said#Error: } Delete them with onehook: alias_ip_running," \
            "alias_ip_hotplug, alias_ip_done"
    fi
}
systemd_runs() { [ -z "$location$destdir" ] && [ -d /run/systemd/system ]; }
units=''
if [ -z "$location" ] && { [ -n "$destdir" ] || [ -d /run/systemd/system ]; }; then units=--units; fi

if [ "$command" = remove ]; then
    find_python
    if systemd_runs; then systemctl disable --quiet --now opennebula-hybrid.service 2>/dev/null || true; fi
    stop_agent
    delete_hooks
    place remove
    if systemd_runs; then systemctl daemon-reload; fi
    echo "The hybrid drivers are removed. Restart OpenNebula: systemctl restart opennebula (or: one restart)."
    exit 0
fi
if [ -n "$link" ]; then use_checkout_venv; else find_python; fi
place check
[ -e "$destdir$lib/manifest.json" ] || undo=yes
if [ -z "$link" ]; then make_venv; fi
make_extras
place put
made_venv='' undo=''
if systemd_runs; then
    systemctl daemon-reload
    systemctl enable --quiet opennebula-hybrid.service
fi
if [ -n "$changed" ]; then # the running agent is of the old version
    if systemd_runs; then systemctl try-restart opennebula-hybrid.service; else stop_agent; fi
fi
etc=${location:+$location/etc}
cat <<TEXT
The hybrid drivers are installed. Now
  1. describe a provider: copy a sample in ${etc:-/etc/one}/hybrid/providers.d to NAME.yaml and fill it in;
  2. restart OpenNebula: systemctl restart opennebula (or, self-contained: one stop; one start).
TEXT
[ -z "$hooks" ] || register_hooks

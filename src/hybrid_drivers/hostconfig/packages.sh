#!/bin/sh
# What the steps' snippets may call to install packages, whatever the system has: apt (here) or dnf (dnf.sh).
# shellcheck disable=SC2154 # lock_wait and centis are set in preamble.sh

# What matters in the words of apt, dpkg, dnf and rpm when they fail.
package_reasons='^E: |^Err:|^W: Failed|^dpkg|^ +[^ ]+ : |^ +[45][0-9][0-9] |^Failed|^No match|^Problem| - |^Public key|^GPG key|rror|cannot|No space|more space|is not signed'

# Does this system install by dnf?
uses_dnf() {
    case " $(system_names) " in
        *' redhat '*) ;;
        *' debian '*) return 1 ;;
        *) stop "packages cannot be installed on this system: $(os PRETTY_NAME)" ;;
    esac
}

# Are all these packages installed, wholly? One process; says which are not.
have_packages() {
    [ $# -gt 0 ] || return 0
    if uses_dnf; then have_rpms "$@"; else have_debs "$@"; fi
}

# Install those of the packages that are not there; the others are not upgraded.
install_packages() {
    be_patient
    if uses_dnf; then kind=rpms; else kind=debs; fi
    "mend_$kind"
    absent=
    for package; do
        "have_$kind" "$package" >/dev/null || absent="$absent $package"
    done
    # shellcheck disable=SC2086 # names of packages have no white space
    [ -z "$absent" ] || "install_$kind" $absent
}

# Let other programs finish with packages, but not for ever: sets when to give up.
be_patient() {
    tick
    give_up=$((centis + lock_wait * 100))
    said_code=0
}

# Run "$2"... without any question, and again while "$1" finds that somebody else holds its lock, until $give_up. What
# it said is in $said, its exit code in $said_code.
patiently() {
    is_busy=$1
    shift
    while :; do
        said_code=0
        said=$("$@" 2>&1 </dev/null) || said_code=$?
        [ "$said_code" != 0 ] || return 0
        "$is_busy" || return "$said_code"
        tick
        if [ "$centis" -ge "$give_up" ]; then
            said="$said
Error: gave up after $lock_wait seconds: another program installs packages here"
            return "$said_code"
        fi
        sleep 2
    done
}

# Fail as the last command did, with the lines of $said that matter, at most six, and with $1. (It ends
# the text: of a long text people see the end.)
say_why() {
    why=$(printf '%s\n' "$said" | grep -E "$package_reasons" | tail -n 6) || true
    printf '%s\n' "${why:-$(printf '%s\n' "$said" | grep . | tail -n 6)}"
    case $said in
        *'No space left on device'* | *'enough free space'* | *'more space needed'* | *' more space on the '*)
            fullest_disks
            ;;
    esac
    [ -z "$1" ] || printf '%s\n' "$1"
    exit "$said_code"
}

# The two fullest file systems among those that packages go to.
fullest_disks() {
    df -Pk / /usr /var /boot /tmp /var/cache/apt/archives /var/cache/dnf /var/lib/dpkg /var/lib/rpm 2>/dev/null |
        awk 'NR > 1 && $2 > 0 && !seen[$6]++ { printf "%d %d %s\n", $4 / 1024, $2 / 1024, $6 }' | sort -n | head -n 2 |
        while read -r free size where; do
            printf 'disk at %s: %s MiB free of %s\n' "$where" "$free" "$size"
        done
}

# --- apt ---------------------------------------------------------------------------------------------------------

have_debs() {
    # shellcheck disable=SC2016 # for dpkg-query
    deb_states=$(dpkg-query -W -f '${db:Status-Status}:${Package}\n' "$@" 2>&1) || {
        printf '%s\n' "$deb_states" | grep '^dpkg-query' || true
        return 1
    }
    for deb_state in $deb_states; do
        case $deb_state in
            installed:*) ;;
            *)
                printf '%s is %s\n' "${deb_state#*:}" "${deb_state%%:*}"
                return 1
                ;;
        esac
    done
}

# NEEDRESTART_SUSPEND: needrestart (Ubuntu has it) is not to restart services behind the steps' back.
apt_get() {
    patiently apt_is_busy env NEEDRESTART_SUSPEND=1 apt-get -qy --no-install-recommends \
        -o "DPkg::Lock::Timeout=$lock_wait" -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

apt_is_busy() {
    case $said in
        *'Could not get lock'* | *'Unable to lock'* | *'Unable to acquire'* | *'lock was locked by another process'*) ;;
        *) return 1 ;;
    esac
}

# Finish what a kill or a power cut left: dpkg's own journal, packages unpacked only, and what they depend on.
mend_debs() {
    set -- /var/lib/dpkg/updates/[0-9]*
    [ -e "$1" ] || [ -n "$(dpkg --audit 2>/dev/null)" ] || return 0
    info 'an earlier installation was cut off: finishing it'
    patiently apt_is_busy dpkg --force-confdef --force-confold --configure -a || true
    apt_with_lists --fix-broken --no-remove install
}

install_debs() {
    apt_with_lists install "$@"
}

# apt-get, by the package lists that are there; when there are none or it fails, by new ones.
apt_with_lists() {
    if ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then
        apt_get "$@" && return 0
        ! apt_is_busy || say_why ''
    fi
    lists_said=
    apt_get update || lists_said=$said
    apt_get "$@" && return 0
    said="$lists_said
$said"
    say_why ''
}

#!/bin/sh
# What the steps' snippets may call to install packages.
# shellcheck disable=SC2154 # lock_wait is set in preamble.sh

have_packages() {
    states=$(dpkg-query -W -f '${db:Status-Abbrev}\n' "$@" 2>/dev/null) || return 1
    ! printf '%s\n' "$states" | grep -qv '^.i '
}

# apt-get, waiting for other users of apt and dpkg (a first boot has several), saying what went wrong and no more.
apt_get() {
    apt_waited=0
    while :; do
        apt_code=0
        apt_said=$(
            apt-get -qy --no-install-recommends -o "DPkg::Lock::Timeout=$lock_wait" -o Acquire::Retries=3 \
                -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@" 2>&1
        ) || apt_code=$?
        [ "$apt_code" != 0 ] || return 0
        case $apt_said in
            *'Could not get lock'* | *'Unable to lock'* | *'Unable to acquire'*) ;;
            *) break ;;
        esac
        [ "$apt_waited" -lt "$lock_wait" ] || break
        sleep 3
        apt_waited=$((apt_waited + 3))
    done
    printf '%s\n' "$apt_said" | grep -E '^ ?(E|Err|dpkg|N:|Depends|cp|tar)|rror|cannot|No space' | tail -n 8 ||
        printf '%s\n' "$apt_said" | tail -n 8
    case $apt_said in
        *'No space left on device'* | *'enough free space'*)
            df -Ph /var | awk 'NR > 1 { print "no space left on the disk: " $4 " free of " $2 " at " $6 }'
            ;;
    esac
    return "$apt_code"
}

install_packages() {
    [ -z "$(dpkg --audit 2>/dev/null)" ] || dpkg --force-confdef --force-confold --configure -a
    if ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then
        apt_get install "$@" >/dev/null && return 0
    fi
    # No lists yet, or they are out of date.
    apt_get update || info 'apt-get update failed'
    apt_get install "$@"
}

#!/bin/sh
# What the steps' snippets may call to find a freshly rented machine in order.
# shellcheck disable=SC2154 # lock_wait is set in preamble.sh

# The units of a first boot that hold the locks of apt and dnf.
no_package_updates() {
    has_systemd || return 0
    case $(systemctl is-active apt-daily.service apt-daily-upgrade.service dnf-makecache.service 2>/dev/null) in
        *activating*) return 1 ;;
    esac
}

# Locks are waited for again when something is installed, so giving up here is no failure.
wait_for_package_updates() {
    updates_waited=0
    until no_package_updates; do
        if [ "$updates_waited" -ge "$lock_wait" ]; then
            stop "the system still updates its packages after $lock_wait seconds"
        fi
        sleep 2
        updates_waited=$((updates_waited + 2))
    done
}

# Is unit $1 masked, or not there?
is_out_of_service() {
    has_systemd || return 0
    [ ! -c "/etc/systemd/system/$1" ] || return 0
    [ ! -e "/usr/lib/systemd/system/$1" ] && [ ! -e "/lib/systemd/system/$1" ] && [ ! -e "/etc/systemd/system/$1" ]
}

# List settings of Ethernet interfaces (ifcfg files, Red Hat 8 and older images) that the machine does not have, but
# that are to start at boot.
stale_ifcfg() {
    for ifcfg in /etc/sysconfig/network-scripts/ifcfg-*; do
        [ -f "$ifcfg" ] || continue
        if grep -Eiq "^(ONBOOT=[\"']?no|TYPE=[\"']?[^\"'Ee])" "$ifcfg"; then continue; fi
        ifcfg_device=$(sed -n "s/^DEVICE=[\"']\{0,1\}\([^\"']*\).*/\1/p" "$ifcfg")
        [ -z "$ifcfg_device" ] || [ -e "/sys/class/net/$ifcfg_device" ] || printf '%s\n' "$ifcfg"
    done
}

set_stale_ifcfg_aside() {
    stale_ifcfg | while IFS= read -r ifcfg; do
        info "no such interface: $ifcfg is set aside as disabled-${ifcfg##*/}"
        mv "$ifcfg" "${ifcfg%/*}/disabled-${ifcfg##*/}"
    done
}

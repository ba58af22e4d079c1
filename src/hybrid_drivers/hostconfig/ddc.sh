#!/bin/sh
# What the steps' snippets may call to find a freshly rented machine in order.
# shellcheck disable=SC2154 # lock_wait and mode are set in preamble.sh

# The units of a first boot that hold the locks of apt and dnf.
no_package_updates() {
    has_systemd || return 0
    case $(systemctl is-active apt-daily.service apt-daily-upgrade.service dnf-makecache.service 2>/dev/null) in
        *activating*) return 1 ;;
    esac
}

# It changes nothing, so it is no difference when only differences are looked for. Locks are waited for again when something
# is installed, so giving up here is no failure.
wait_for_package_updates() {
    [ "$mode" != check ] || return 0
    updates_waited=0
    until no_package_updates; do
        if [ "$updates_waited" -ge "$lock_wait" ]; then
            info "the system still updates its packages after $lock_wait seconds"
            return 0
        fi
        sleep 2
        updates_waited=$((updates_waited + 2))
    done
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

#!/bin/sh
# Connects this host with the others of its cluster: a bridge for guests, and a VXLAN device that copies a frame for an
# unknown receiver to each of the others (RFC 7348). Settings: /etc/default/opennebula-p2p-vxlan.
#   start   make or correct it; what is right already is not touched, so guests notice nothing
#   status  succeed when all is there
#   stop    take it away (a bridge with guests stays)
# Written by OpenNebula Hybrid Drivers, which replace it.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL

bridge='' device='' vni='' port='' local='' phydev='' mtu='' remotes=''
settings=/etc/default/opennebula-p2p-vxlan
# shellcheck disable=SC1090 # the host's own
. "$settings"
unknown=00:00:00:00:00:00

fail() {
    echo "$*" >&2
    exit 1
}

# A hardware address of our own, from the address the others know us by: systemd would derive one from the machine id,
# which machines made from one image may share. $1: its first two bytes, local and unicast.
hardware_address() {
    IFS=. read -r a b c d <<END
$local
END
    printf '%s:%02x:%02x:%02x:%02x' "$1" "$a" "$b" "$c" "$d"
}

# Make link $1 of the kind and with the options in $3...; $2: as hardware_address.
make_link() {
    link=$1
    if [ -n "$local" ]; then link="$link address $(hardware_address "$2")"; fi
    shift 2
    # shellcheck disable=SC2086 # words
    ip link add $link mtu "$mtu" "$@"
}

# Does the device exist as the settings want it? What ip(8) shows: "vxlan id 100 local A dev D ... dstport 4789 ...".
device_is() {
    shown=" $(ip -d link show dev "$device" 2>/dev/null | tr '\n' ' ') "
    case $shown in *" vxlan id $vni "*) ;; *) return 1 ;; esac
    case $shown in *" dstport $port "*) ;; *) return 1 ;; esac
    case $shown in *' nolearning '*) return 1 ;; esac
    shown=${shown#* vxlan id }
    of_local=${shown#* local } of_dev=${shown#* dev }
    [ "$of_local" != "$shown" ] || of_local=
    [ "$of_dev" != "$shown" ] || of_dev=
    [ "${of_local%% *}" = "$local" ] && [ "${of_dev%% *}" = "$phydev" ]
}

joined() {
    [ -e "/sys/class/net/$bridge/brif/$device" ] && [ "$(cat "/sys/class/net/$1/mtu")" = "$mtu" ] &&
        [ $(($(cat "/sys/class/net/$1/flags") & 1)) = 1 ]
}

# The hosts that frames for $1 (a hardware address, or "learned") are sent to: "hardware-address host" a line.
sent_to() {
    bridge fdb show dev "$device" | awk -v of="$1" -v unknown=$unknown '
        { to = ""; for (i = 2; i < NF; i++) if ($i == "dst") to = $(i + 1) }
        to != "" && (of == "learned") == ($1 != unknown) { print $1, to }'
}

among() { # word, words
    case " $2 " in *" $1 "*) return 0 ;; esac
    return 1
}

# Have an entry for every other host, and none for one that left, nor what was learned about its guests.
put_entries() {
    there=$(sent_to $unknown | awk '{ printf "%s ", $2 }')
    for host in $remotes; do
        among "$host" "$there" || bridge fdb append $unknown dev "$device" dst "$host"
    done
    for host in $there; do
        among "$host" "$remotes" || bridge fdb del $unknown dev "$device" dst "$host"
    done
    sent_to learned | while read -r guest host; do
        among "$host" "$remotes" || bridge fdb del "$guest" dev "$device" dst "$host" 2>/dev/null || true
    done
}

entries_are() {
    there=$(sent_to $unknown | awk '{ printf "%s ", $2 }')
    for host in $remotes; do among "$host" "$there" || return 1; done
    for host in $there; do among "$host" "$remotes" || return 1; done
}

# A physical device may come late at boot.
await_phydev() {
    tries=60
    while [ ! -e "/sys/class/net/$phydev" ]; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "there is no network interface $phydev"
        sleep 1
    done
}

start() {
    [ -z "$phydev" ] || await_phydev
    if [ ! -e "/sys/class/net/$bridge" ]; then
        make_link "$bridge" 02:56 type bridge stp_state 0 forward_delay 0
        # Guests' traffic passes through; the host itself takes no part in it.
        ip link set dev "$bridge" addrgenmode none
        echo 0 >"/proc/sys/net/ipv6/conf/$bridge/accept_ra" 2>/dev/null || true
    fi
    [ -d "/sys/class/net/$bridge/bridge" ] || fail "$bridge is there already and is not a bridge"
    if ! device_is; then
        if [ -e "/sys/class/net/$device" ]; then
            grep -qx DEVTYPE=vxlan "/sys/class/net/$device/uevent" || fail "$device is there already and is not a VXLAN device"
            ip link del dev "$device"
        fi
        # shellcheck disable=SC2086 # words
        make_link "$device" 06:56 type vxlan id "$vni" dstport "$port" ${local:+local $local} ${phydev:+dev $phydev}
        ip link set dev "$device" addrgenmode none
    fi
    put_entries
    joined "$device" || ip link set dev "$device" mtu "$mtu" master "$bridge" up
    joined "$bridge" || ip link set dev "$bridge" mtu "$mtu" up
}

stop() {
    ip link del dev "$device" 2>/dev/null || true
    if [ -d "/sys/class/net/$bridge/brif" ] && [ -z "$(ls "/sys/class/net/$bridge/brif")" ]; then
        ip link del dev "$bridge"
    fi
}

case ${1-} in
    start) start ;;
    status) device_is && joined "$device" && joined "$bridge" && entries_are ;;
    stop) stop ;;
    *) fail "usage: ${0##*/} start|status|stop" ;;
esac

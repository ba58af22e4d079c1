#!/bin/sh
# What the steps' snippets may call about the network: by what the system keeps it, and how a bridge is to look.

# --- who keeps the network ---------------------------------------------------------------------------------------

# The interface of the default route.
default_device() {
    { ip -4 route show default; ip -6 route show default; } 2>/dev/null |
        awk '{ for (i = 1; i < NF; i++) if ($i == "dev") { print $(i + 1); exit } }'
}

# What systemd-networkd and NetworkManager note about interface $1 (a folder of files named by the interface's number).
link_note() {
    cat "$2/$(cat "/sys/class/net/$1/ifindex" 2>/dev/null)" 2>/dev/null
}

# Who configures interfaces here, now and at boot. Several may run: the one that keeps the default route's interface counts
# (Ubuntu's NetworkManager leaves servers' interfaces to systemd-networkd).
net_backend() {
    if ! has_systemd; then
        echo none
        return 0
    fi
    net_main=$(default_device)
    if [ -n "$net_main" ]; then
        if link_note "$net_main" /run/systemd/netif/links | grep -Eqx 'ADMIN_STATE=(configured|configuring|pending)' &&
            systemctl --quiet is-active systemd-networkd.service; then
            echo networkd
            return 0
        elif link_note "$net_main" /run/NetworkManager/devices | grep -q '^connection-uuid=' &&
            systemctl --quiet is-active NetworkManager.service; then
            echo NetworkManager
            return 0
        elif ifupdown_keeps "$net_main"; then
            echo ifupdown
            return 0
        fi
    fi
    if systemctl --quiet is-active NetworkManager.service; then
        echo NetworkManager
    elif systemctl --quiet is-active systemd-networkd.service; then
        echo networkd
    elif ifupdown_keeps lo; then
        echo ifupdown
    elif systemctl cat systemd-networkd.service >/dev/null 2>&1; then
        echo networkd
    else
        echo none
    fi
}

ifupdown_keeps() {
    grep -qs "^$1=" /run/network/ifstate && command -v ifup >/dev/null && systemctl --quiet is-enabled networking.service
}

# --- how a bridge is to look -------------------------------------------------------------------------------------
# Arguments of plan_bridge and all that call it: bridge, port, "must" when the port has to exist, address/prefix, gateway,
# interface (or label, such as bond0:0) whose addresses it takes when none is given, address/prefix when there is none
# either. Empty: not given. The plan is text, kept in /etc/opennebula-hybrid/network/BRIDGE: what was taken over from
# an interface is known only before that.
#     port eth0 | source eth0 | mac 02:..:01 | address 198.51.100.2/24 | route default 198.51.100.1 | dns 198.51.100.53

plan_bridge() {
    bridge=$1 port=$2 given_address=$4 given_gateway=$5 address_source=$6
    backend=$(net_backend)
    plan_file=/etc/opennebula-hybrid/network/$bridge
    if [ -n "$port" ] && [ ! -e "/sys/class/net/$port" ]; then
        [ "$3" != must ] || stop "there is no network interface $port to connect to $bridge"
        info "no network interface $port: $bridge connects the guests of this host only"
        port=
    fi
    plan=$(
        printf 'port %s\nsource %s\n' "$port" "$address_source"
        if [ -f "$plan_file" ] && grep -qxF "port $port" "$plan_file"; then
            grep '^mac ' "$plan_file"
            if grep -qxF "source $address_source" "$plan_file"; then plan_kept "$plan_file"; else plan_fresh "$7"; fi
        else
            printf 'mac %s\n' "$(bridge_mac)"
            plan_fresh "$7"
        fi
    )
}

# What was decided before; an address given now replaces it.
plan_kept() {
    if [ -n "$given_address" ]; then
        grep -E '^(address|route|dns) ' "$1" | grep -E '^dns |:' || true
        plan_given
    else
        grep -E '^(address|route|dns) ' "$1" || true
    fi
}

plan_fresh() {
    [ -z "$port" ] || dns_of "$port" | sed 's/^/dns /'
    if [ -n "$given_address" ]; then
        [ -z "$port" ] || carried_by "$port" -6
        plan_given
    elif [ -n "$port" ] && [ "$port" = "$address_source" ]; then
        carried_by "$port" -4
        carried_by "$port" -6
    else
        # Its default route stays where it is: that interface goes on working.
        found_address=$(addresses_of "$address_source" -4 | head -n 1)
        [ -n "$port" ] || [ -n "$found_address" ] || found_address=$1
        [ -z "$found_address" ] || printf 'address %s\n' "$found_address"
    fi
}

plan_given() {
    printf 'address %s\n' "$given_address"
    [ -z "$given_gateway" ] || printf 'route default %s\n' "$given_gateway"
}

planned() { # key: its values, a line each
    printf '%s\n' "$plan" | sed -n "s/^$1 //p"
}

# Lasting global addresses of an interface or a label, with -4 or -6.
addresses_of() {
    case $1 in
        '') return 0 ;;
        *:*) ip "$2" -o address show scope global label "$1" 2>/dev/null ;;
        *) ip "$2" -o address show dev "$1" scope global 2>/dev/null ;;
    esac | awk -v bits="$(if [ "$2" = -6 ]; then echo 128; else echo 32; fi)" '
        / temporary| deprecated| dadfailed/ { next } { print ($4 ~ "/" ? $4 : $4 "/" bits) }'
}

# Addresses and routes that a bridge takes over from interface $1, with -4 or -6.
carried_by() {
    addresses_of "$1" "$2" | sed 's/^/address /'
    ip "$2" route show dev "$1" 2>/dev/null | awk '$2 == "via" && !seen[$1]++ { print "route " $1 " " $3 }'
}

# Name servers that belong to the interface rather than to /etc/resolv.conf.
dns_of() {
    case $backend in
        networkd) link_note "$1" /run/systemd/netif/links | sed -n 's/^DNS=//p' ;;
        ifupdown) ifquery "$1" 2>/dev/null | sed -n 's/^dns-nameservers: //p' ;;
        NetworkManager) nmcli -g IP4.DNS,IP6.DNS device show "$1" 2>/dev/null | sed 's/\\//g; s/|/ /g' ;;
    esac | tr -s ' ' '\n' | sed -n 's/[%#].*//; /^[0-9a-fA-F:.]\{2,\}$/p'
}

# A bridge whose address changed with its ports would confuse its neighbours; a provider's switch may know no address but
# its port's own.
bridge_mac() {
    if [ -n "$port" ] && ! is_tap "$port"; then
        cat "/sys/class/net/$port/address"
    else
        stable_id "$bridge" | sed 's/^\(..\)\(..\)\(..\)\(..\)\(..\).*/02:\1:\2:\3:\4:\5/'
    fi
}

# 32 hexadecimal digits that are this machine's and this name's own, always the same.
stable_id() {
    printf '%s %s' "$(cat /etc/machine-id)" "$1" | sha256sum | cut -c 1-32
}

is_tap() {
    [ -e "/sys/class/net/$1/tun_flags" ]
}

# Does bridge $1 lead out of this host? Ports of guests are taps and veth pairs; so is one somebody named as its port.
bridge_has_uplink() {
    uplink=$(sed -n 's/^port //p' "/etc/opennebula-hybrid/network/$1" 2>/dev/null)
    [ -z "$uplink" ] || is_tap "$uplink" || return 0
    for brport in "/sys/class/net/$1/brif/"*; do
        brport=/sys/class/net/${brport##*/}
        if [ -e "$brport/device" ] || [ -e "$brport/bonding" ]; then return 0; fi
    done
    return 1
}

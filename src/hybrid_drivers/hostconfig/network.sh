#!/bin/sh
# What the steps' snippets may call to make bridges, taps and the firewall, by whatever the system keeps its network with.
# shellcheck disable=SC2154 # state_dir is set in preamble.sh

# Who configures interfaces here, now and at boot.
net_backend() {
    if ! has_systemd; then
        echo none
    elif systemctl --quiet is-active NetworkManager.service; then
        echo NetworkManager
    elif systemctl --quiet is-active systemd-networkd.service; then
        echo networkd
    elif systemctl --quiet is-enabled networking.service 2>/dev/null && command -v ifup >/dev/null; then
        echo ifupdown
    elif systemctl cat systemd-networkd.service >/dev/null 2>&1; then
        echo networkd
    else
        echo none
    fi
}

networkd_reload() {
    systemctl --quiet enable systemd-networkd.service
    if systemctl --quiet is-active systemd-networkd.service; then
        networkctl reload
    else
        systemctl start systemd-networkd.service
    fi
}

# Run a check up to 20 seconds long until it succeeds.
await() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 1
    done
    return 1
}

# --- bridges -----------------------------------------------------------------------------------------------------
# Arguments of all three functions: bridge, port, "must" when the port has to exist, address/prefix, gateway, interface
# whose address it takes when none is given, address/prefix when there is none either. Empty: not given.

plan_bridge() {
    bridge=$1 port=$2 address=$4 gateway=$5
    networkd_file=/etc/systemd/network/05-hybrid-$bridge
    ifupdown_file=/etc/network/interfaces.d/hybrid-$bridge
    if [ -n "$port" ] && [ ! -e "/sys/class/net/$port" ]; then
        [ "$3" != must ] || stop "there is no network interface $port to connect to $bridge"
        info "no network interface $port: $bridge connects the guests of this host only"
        port=
    fi
    # An address taken over before stays: its interface has lost it to the bridge.
    [ -n "$address" ] || address=$(
        cat "$networkd_file.network" "$ifupdown_file" 2>/dev/null | sed -n 's/^Address=//p; s/^ *address //p' | head -n 1
    )
    [ -n "$address" ] || [ -z "$6" ] || address=$(ip -4 -o address show dev "$6" 2>/dev/null | awk '{ print $4; exit }')
    [ -n "$address" ] || address=$7
    if [ -n "$port" ] && [ -z "$gateway" ] && ip -4 route show default dev "$port" | grep -q .; then
        stop "$port carries the default route: give bridged_networking_static_ip and _gateway, or name another interface"
    fi
}

bridge_files() { # what each backend reads: netdev, network, port, ifupdown
    case $1 in
        netdev) printf '[NetDev]\nName=%s\nKind=bridge\n\n[Bridge]\nSTP=no\nForwardDelaySec=0\n' "$bridge" ;;
        network)
            printf '[Match]\nName=%s\n\n[Link]\nRequiredForOnline=no\n\n[Network]\n' "$bridge"
            printf 'ConfigureWithoutCarrier=yes\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nAddress=%s\n' "$address"
            [ -z "$gateway" ] || printf 'Gateway=%s\n' "$gateway"
            ;;
        port) printf '[Match]\nName=%s\n\n[Network]\nBridge=%s\nLinkLocalAddressing=no\n' "$port" "$bridge" ;;
        ifupdown)
            printf 'auto %s\niface %s inet static\n    address %s\n' "$bridge" "$bridge" "$address"
            [ -z "$gateway" ] || printf '    gateway %s\n' "$gateway"
            printf '    bridge_ports %s\n    bridge_stp off\n    bridge_fd 0\n' "${port:-none}"
            ;;
    esac
}

bridge_live() {
    [ -d "/sys/class/net/$bridge/bridge" ]
    ip -4 -o address show dev "$bridge" | grep -qF " inet $address "
    [ -z "$port" ] || [ -e "/sys/class/net/$bridge/brif/$port" ]
}

bridge_is() {
    plan_bridge "$@"
    case $(net_backend) in
        networkd)
            bridge_files netdev | file_is "$networkd_file.netdev" 644 root:root
            bridge_files network | file_is "$networkd_file.network" 644 root:root
            [ -z "$port" ] || bridge_files port | file_is "$networkd_file-port.network" 644 root:root
            ;;
        ifupdown) bridge_files ifupdown | file_is "$ifupdown_file" 644 root:root ;;
        *) return 1 ;;
    esac
    bridge_live
}

put_bridge() {
    plan_bridge "$@"
    backend=$(net_backend)
    case $backend in
        networkd)
            bridge_files netdev | put_file "$networkd_file.netdev" 644 root:root
            bridge_files network | put_file "$networkd_file.network" 644 root:root
            if [ -n "$port" ]; then
                bridge_files port | put_file "$networkd_file-port.network" 644 root:root
            else
                rm -f "$networkd_file-port.network"
            fi
            networkd_reload
            ;;
        ifupdown)
            bridge_files ifupdown | put_file "$ifupdown_file" 644 root:root
            grep -Eqs '^ *source(-directory)? +/etc/network/interfaces\.d' /etc/network/interfaces ||
                printf 'source /etc/network/interfaces.d/*\n' >>/etc/network/interfaces
            ifdown --force "$bridge" 2>/dev/null || true
            ifup "$bridge"
            ;;
        *) stop "bridges need systemd-networkd or ifupdown; this system keeps its network with: $backend" ;;
    esac
    [ -z "$port" ] || await test -e "/sys/class/net/$bridge/brif/$port" || stop "$port was not connected to $bridge"
    [ -z "$port" ] || ip address flush dev "$port" scope global
    await bridge_has_address || stop "$bridge did not get the address $address from $backend"
}

bridge_has_address() {
    ip -4 -o address show dev "$bridge" | grep -qF " inet $address "
}

# --- taps --------------------------------------------------------------------------------------------------------

tap_is() { # name tap|tun
    if in_container && [ ! -e /dev/net/tun ]; then
        info "no /dev/net/tun in this container: $1 is not made"
        return 0
    fi
    [ -e "/sys/class/net/$1/tun_flags" ]
    [ -e "/etc/systemd/network/05-hybrid-$1.netdev" ] || [ -e "/etc/network/interfaces.d/hybrid-$1" ]
}

put_tap() {
    case $(net_backend) in
        networkd)
            printf '[NetDev]\nName=%s\nKind=%s\n' "$1" "$2" | put_file "/etc/systemd/network/05-hybrid-$1.netdev" 644 root:root
            printf '[Match]\nName=%s\n\n[Link]\nRequiredForOnline=no\n\n[Network]\nLinkLocalAddressing=no\n' "$1" |
                put_file "/etc/systemd/network/06-hybrid-$1.network" 644 root:root
            networkd_reload
            ;;
        ifupdown)
            printf 'auto %s\niface %s inet manual\n    pre-up ip tuntap add dev %s mode %s || true\n    up ip link set %s up\n' \
                "$1" "$1" "$1" "$2" "$1" | put_file "/etc/network/interfaces.d/hybrid-$1" 644 root:root
            ifup "$1"
            ;;
        *) stop "$1 needs systemd-networkd or ifupdown" ;;
    esac
    await test -e "/sys/class/net/$1/tun_flags" || stop "$1 was not made"
}

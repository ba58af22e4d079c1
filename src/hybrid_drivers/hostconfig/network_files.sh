#!/bin/sh
# How a plan of network.sh is written down for systemd-networkd, NetworkManager and ifupdown.
# shellcheck disable=SC2154 # bridge, port, plan and backend come from plan_bridge in network.sh

# What the bridge of the plan needs: kind, path and mode of each file.
bridge_files() {
    case $backend in
        networkd)
            printf 'netdev /etc/systemd/network/05-hybrid-%s.netdev 644\n' "$bridge"
            printf 'network /etc/systemd/network/05-hybrid-%s.network 644\n' "$bridge"
            printf 'port /etc/systemd/network/05-hybrid-%s-port.network 644\n' "$bridge"
            printf 'start /etc/systemd/system/systemd-networkd.service.d/hybrid-%s.conf 644\n' "$bridge"
            ;;
        NetworkManager)
            printf 'connection /etc/NetworkManager/system-connections/hybrid-%s.nmconnection 600\n' "$bridge"
            printf 'slave /etc/NetworkManager/system-connections/hybrid-%s-port.nmconnection 600\n' "$bridge"
            ;;
        ifupdown) printf 'interfaces /etc/network/interfaces.d/hybrid-%s 644\n' "$bridge" ;;
    esac
    printf 'plan %s 644\n' "$plan_file"
}

# The content of one of them; nothing: there must be no such file.
bridge_file() {
    case $1 in
        plan) printf '%s\n' "$plan" ;;
        netdev)
            printf '[NetDev]\nName=%s\nKind=bridge\nMACAddress=%s\n\n' "$bridge" "$(planned mac)"
            printf '[Bridge]\nSTP=no\nForwardDelaySec=0\n'
            ;;
        network) networkd_network ;;
        port) [ -z "$port" ] || printf '[Match]\nName=%s\n\n[Network]\nBridge=%s\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
            "$port" "$bridge" ;;
        start) [ -z "$port" ] || networkd_start ;;
        connection) nm_bridge ;;
        slave) [ -z "$port" ] || nm_port ;;
        interfaces) ifupdown_bridge ;;
    esac
}

bridge_files_are() {
    bridge_files | while read -r kind path mode; do
        if [ -n "$(bridge_file "$kind")" ]; then
            bridge_file "$kind" | file_is "$path" "$mode" root:root || exit 1
        else
            [ ! -e "$path" ] || exit 1
        fi
    done
}

put_bridge_files() {
    bridge_files | while read -r kind path mode; do
        if [ -n "$(bridge_file "$kind")" ]; then
            bridge_file "$kind" | put_file "$path" "$mode" root:root
        else
            rm -f "$path"
        fi
    done
}

# --- systemd.network(5), systemd.netdev(5) -----------------------------------------------------------------------

networkd_network() {
    printf '[Match]\nName=%s\n\n' "$bridge"
    # Guests come and go: the system does not wait for them to be "online".
    [ -n "$port" ] || printf '[Link]\nRequiredForOnline=no\n\n'
    printf '[Network]\nConfigureWithoutCarrier=yes\nIPv6AcceptRA=no\n'
    if planned address | grep -q :; then echo LinkLocalAddressing=ipv6; else echo LinkLocalAddressing=no; fi
    planned dns | sed 's/^/DNS=/'
    planned address | sed 's/^/Address=/'
    planned route | while read -r destination gateway; do
        printf '\n[Route]\n'
        [ "$destination" = default ] || printf 'Destination=%s\n' "$destination"
        printf 'Gateway=%s\nGatewayOnLink=yes\n' "$gateway"
    done
}

# systemd-networkd leaves a port the addresses it was given before (by the initramfs of a network boot): it would have
# them twice.
networkd_start() {
    printf '[Service]\nExecStartPre=-+/bin/sh -c "ip -4 address flush dev %s scope global; ip -6 address flush dev %s scope global"\n' \
        "$port" "$port"
}

# --- NetworkManager's keyfiles (nm-settings-keyfile(5)) ----------------------------------------------------------

# A priority above that of what the system brought (0) decides which of an interface's connections comes up at boot.
nm_head() { # name, type, interface
    printf '[connection]\nid=hybrid-%s\nuuid=%s\ntype=%s\ninterface-name=%s\n' "$1" "$(nm_uuid "$1")" "$2" "$3"
    printf 'autoconnect-priority=100\n'
}

nm_uuid() {
    stable_id "$1" | sed 's/\(.\{8\}\)\(.\{4\}\).\(.\{3\}\).\(.\{3\}\)\(.\{12\}\)/\1-\2-4\3-8\4-\5/'
}

nm_bridge() {
    nm_head "$bridge" bridge "$bridge"
    printf 'autoconnect-slaves=1\n\n[bridge]\nstp=false\nforward-delay=0\nmac-address=%s\n' "$(planned mac | tr a-f A-F)"
    nm_addresses ipv4 -v :
    nm_addresses ipv6 -e :
}

nm_addresses() { # ipv4 or ipv6, what grep tells its addresses by (two words)
    printf '\n[%s]\n' "$1"
    if ! planned address | grep -q "$2" "$3"; then
        echo method=disabled
        return 0
    fi
    printf 'method=manual\n'
    planned address | grep "$2" "$3" | awk '{ print "address" NR "=" $1 }'
    planned route | grep "$2" "$3" | awk '$1 == "default" { print "gateway=" $2; next } { print "route" ++n "=" $1 "," $2 }'
    planned dns | grep "$2" "$3" | awk '{ printf "%s%s;", NR == 1 ? "dns=" : "", $1 } END { if (NR) print "" }'
}

nm_port() {
    nm_head "$bridge-port" "$(nm_type "$port")" "$port"
    printf 'master=%s\nslave-type=bridge\n' "$bridge"
    if is_tap "$port"; then printf "\n[tun]\nmode=%s\n" "$(nm_tun_mode "$(tap_mode "$port")")"; fi
}

nm_type() {
    if is_tap "$1"; then echo tun; else echo ethernet; fi
}

# --- interfaces(5) -----------------------------------------------------------------------------------------------

# With ip(8) alone: bridge-utils, whose options (bridge_ports) others use, is not part of the system.
ifupdown_bridge() {
    first4=$(planned address | grep -v : | head -n 1)
    printf 'auto %s\niface %s inet %s\n' "$bridge" "$bridge" "$(if [ -n "$first4" ]; then echo static; else echo manual; fi)"
    [ -z "$first4" ] || printf '    address %s\n' "$first4"
    planned dns | awk '{ printf "%s %s", NR == 1 ? "    dns-nameservers" : "", $1 } END { if (NR) print "" }'
    if [ -n "$port" ]; then
        # shellcheck disable=SC2016 # expanded when the interface comes up
        printf '    pre-up i=0; while [ ! -e /sys/class/net/%s ] && [ $i -lt 40 ]; do sleep 0.5; i=$((i+1)); done\n' "$port"
    fi
    printf '    pre-up [ -e /sys/class/net/%s ] || ip link add name %s type bridge stp_state 0 forward_delay 0\n' \
        "$bridge" "$bridge"
    printf '    pre-up ip link set dev %s address %s\n' "$bridge" "$(planned mac)"
    printf '    pre-up echo 0 >/proc/sys/net/ipv6/conf/%s/accept_ra || true\n' "$bridge"
    if [ -n "$port" ]; then
        printf '    pre-up ip address flush dev %s scope global; ip link set dev %s master %s; ip link set dev %s up\n' \
            "$port" "$port" "$bridge" "$port"
    fi
    printf '    up ip link set dev %s up\n' "$bridge"
    planned address | grep -vxF "$first4" | sed "s|.*|    up ip address replace & dev $bridge|"
    planned route | awk -v dev="$bridge" '{
        print "    up ip " ($2 ~ ":" ? "-6" : "-4") " route replace " $1 " via " $2 " dev " dev " onlink" }'
}

#!/bin/sh
# What the steps' snippets may call to connect the hosts of a cluster: VXLAN with fixed members, or with BGP EVPN.
# shellcheck disable=SC2154 # state_dir is set in preamble.sh

# --- fixed members -----------------------------------------------------------------------------------------------

vxlan_unit=opennebula-p2p-vxlan.service
vxlan_program=/usr/local/sbin/opennebula-p2p-vxlan
vxlan_settings=/etc/default/opennebula-p2p-vxlan

is_own_address() {
    ip -4 -o address show | grep -qF " inet $1/"
}

# The interface that has IPv4 address $1.
interface_of() {
    ip -4 -o address show | awk -v own="$1" '{ split($4, part, "/") } part[1] == own { print $2; exit }'
}

# The interface by which this host reaches address $1.
interface_to() {
    ip -4 -o route get "$1" 2>/dev/null | awk '{ for (i = 1; i < NF; i++) if ($i == "dev") { print $(i + 1); exit } }'
}

# Arguments of the three functions: bridge, device, VNI, UDP port, own address as given, own address as the others know
# it, physical interface, largest MTU of the way to the others, their addresses. Empty: not given.

vxlan_plan() {
    vxlan_local=$5 vxlan_under=${7%%:*}
    [ -z "$vxlan_under" ] || [ -e "/sys/class/net/$vxlan_under" ] || stop "there is no network interface $vxlan_under"
    [ -z "$5" ] || is_own_address "$5" || stop "opennebula_p2p_vxlan_vxlan_local_ip is $5, which is no address of this host"
    # Behind an address translation the host does not have the address it is known by: the kernel chooses by the route.
    if [ -z "$vxlan_local" ] && [ -n "$6" ] && is_own_address "$6"; then vxlan_local=$6; fi
    if [ -z "$vxlan_local" ] && [ -n "$7" ]; then
        vxlan_local=$(ip -4 -o address show label "$7" | awk '{ split($4, part, "/"); print part[1]; exit }')
    fi
    vxlan_way=$vxlan_under
    [ -n "$vxlan_way" ] || [ -z "$vxlan_local" ] || vxlan_way=$(interface_of "$vxlan_local")
    [ -n "$vxlan_way" ] || vxlan_way=$(interface_to "${9:-${6:-192.0.2.1}}")
    vxlan_mtu=$(cat "/sys/class/net/${vxlan_way:-none}/mtu" 2>/dev/null || echo 1500)
    [ "$vxlan_mtu" -le "$8" ] || vxlan_mtu=$8
}

# What the program reads. Its MTU leaves room for the outer headers, 50 bytes: Ethernet 14, IPv4 20, UDP 8, VXLAN 8.
vxlan_text() {
    printf "bridge='%s'\ndevice='%s'\nvni='%s'\nport='%s'\n" "$1" "$2" "$3" "$4"
    printf "local='%s'\nphydev='%s'\nmtu='%s'\n" "$vxlan_local" "$vxlan_under" $((vxlan_mtu - 50))
    shift 8
    vxlan_remotes=
    for vxlan_remote; do # a list given by hand may be the same for all hosts
        [ "$vxlan_remote" = "$vxlan_local" ] || vxlan_remotes="$vxlan_remotes $vxlan_remote"
    done
    printf "remotes='%s'\n" "${vxlan_remotes# }"
}

vxlan_is() {
    vxlan_plan "$@"
    vxlan_text "$@" | file_is "$vxlan_settings" 644 root:root
    if has_systemd; then service_is "$vxlan_unit"; fi
    "$vxlan_program" status
}

put_vxlan() {
    vxlan_plan "$@"
    vxlan_text "$@" | put_file "$vxlan_settings" 644 root:root
    # Also by hand: starting a unit that runs already does nothing.
    "$vxlan_program" start
    if has_systemd; then put_service "$vxlan_unit" reload; fi
}

# --- BGP EVPN ----------------------------------------------------------------------------------------------------

frr_file=/etc/frr/frr.conf

# Does FRR start its daemon $1?
frr_daemon_is() {
    grep -qsx "$1=yes" /etc/frr/daemons
}

put_frr_daemon() {
    sed "s/^$1=.*/$1=yes/" /etc/frr/daemons | rewrite_file /etc/frr/daemons
    frr_daemon_is "$1" || printf '%s=yes\n' "$1" | add_line /etc/frr/daemons
}

# The lines of a configuration that say who is connected with whom: what all versions of FRR show in the same words.
frr_connections() {
    sed -n 's/^ *//; s/ *$//; /^router bgp [0-9]*$/p; /^neighbor [0-9.]* peer-group /p; /^bgp listen range /p; /^advertise-all-vni$/p' |
        sort
}

# Is standard input the configuration, on the disk and in the running daemons? (What else they show differs by version;
# that the file has reached them is known by the mark that a run which was cut off leaves.)
frr_is() {
    frr_wanted=$(cat)
    printf '%s\n' "$frr_wanted" | file_is "$frr_file" 640 frr:frr
    has_systemd || return 0
    if restart_due frr.conf; then return 1; fi
    frr_running=$(vtysh -c 'show running-config' 2>/dev/null | frr_connections)
    [ "$frr_running" = "$(printf '%s\n' "$frr_wanted" | frr_connections)" ]
}

# Accepted by FRR itself, put into place, and only what differs is told to the running daemons: sessions stay up.
put_frr() {
    put_checked_file "$frr_file" 640 frr:frr frr_accepts
    if has_systemd; then
        reload_frr || restart_frr
    fi
    rm -f "$state_dir/restart/frr.conf"
}

# In a condition: "set -e" is not in force.
reload_frr() {
    for frr_reload in /usr/lib/frr/frr-reload.py /usr/libexec/frr/frr-reload.py; do
        [ ! -x "$frr_reload" ] || break
    done
    "$frr_reload" --reload --bindir "$(dirname "$(command -v vtysh)")" "$frr_file" >/dev/null 2>"$state_dir/frr.said" && return 0
    tail -n 5 "$state_dir/frr.said"
    return 1
}

restart_frr() {
    info 'FRR could not take the changes while running and is restarted'
    systemctl reset-failed frr.service # it may be started three times in three minutes
    systemctl restart frr.service
}

frr_accepts() { # file
    chmod 644 "$1"
    frr_said=$(vtysh --dryrun --inputfile "$1" 2>&1) || stop "FRR refuses the configuration: $frr_said"
}

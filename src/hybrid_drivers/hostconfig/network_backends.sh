#!/bin/sh
# What systemd-networkd, NetworkManager and ifupdown are told so that what is written comes into force.
# shellcheck disable=SC2154 # bridge, port, old_port, plan and backend come from plan_bridge and put_bridge

# --- systemd-networkd --------------------------------------------------------------------------------------------

# To be called before anything is changed: a reload takes the addresses of an interface whose file has vanished, which
# nobody notices until then. (systemd-networkd keeps the name of each interface's file in its state. Ours are made again.)
refuse_to_forget_interfaces() {
    [ "$backend" = networkd ] || return 0
    sed -n 's/^NETWORK_FILE=//p' /run/systemd/netif/links/* 2>/dev/null | while read -r networkd_file; do
        case $networkd_file in */0[56]-hybrid-*) continue ;; esac
        [ -e "$networkd_file" ] ||
            stop "$networkd_file, which systemd-networkd set an interface up by, is gone: put it back, a reload would" \
                "take that interface's addresses"
    done
}

networkd_reload() {
    systemctl daemon-reload
    systemctl --quiet enable systemd-networkd.service
    if systemctl --quiet is-active systemd-networkd.service; then
        networkctl reload
    else
        systemctl start systemd-networkd.service
    fi
}

# What was made a moment ago is in the kernel before systemd-networkd has heard of it ("Link 4 not known").
networkd_reconfigure() {
    await networkctl reconfigure "$@" || networkctl reconfigure "$@"
}

change_networkd() {
    put_bridge_files
    networkd_reload
    await test -d "/sys/class/net/$bridge/bridge" || stop "systemd-networkd did not make $bridge"
    give_back_old_port
    # Also when no file changed: somebody may have changed the interfaces themselves.
    # shellcheck disable=SC2086 # none or one word
    networkd_reconfigure $port $old_port "$bridge"
    [ -z "$port" ] || await test -e "/sys/class/net/$bridge/brif/$port" || stop "$port was not connected to $bridge"
    [ -z "$port" ] || flush_addresses "$port"
}

undo_networkd() {
    printf 'systemctl daemon-reload\nnetworkctl reload\n'
    for one in $port $old_port "$bridge"; do
        [ ! -e "/sys/class/net/$one" ] || printf 'networkctl reconfigure %s\n' "$one"
    done
}

flush_addresses() {
    ip -4 address flush dev "$1" scope global
    ip -6 address flush dev "$1" scope global
}

give_back_old_port() {
    [ -z "$old_port" ] || [ ! -e "/sys/class/net/$bridge/brif/$old_port" ] || ip link set dev "$old_port" nomaster
}

# --- NetworkManager ----------------------------------------------------------------------------------------------

change_NetworkManager() {
    nm_can_connect
    put_bridge_files
    nmcli connection reload
    if nmcli -g GENERAL.CON-UUID device show "$bridge" 2>/dev/null | grep -qx "$(nm_uuid "$bridge")"; then
        # The guests' wires stay on it. (NetworkManager takes a bridge with another hardware address for another.)
        ip link set dev "$bridge" address "$(planned mac)"
        nmcli --wait 30 device reapply "$bridge" >/dev/null 2>&1 || nm_up
    else
        nm_up
    fi
    give_back_old_port
    [ -z "$port" ] || nmcli --wait 30 connection up "hybrid-$bridge-port" ifname "$port" >/dev/null
}

# Not waited for: without its ports a bridge does not come up whole.
nm_up() {
    nmcli --wait 0 connection up "hybrid-$bridge" >/dev/null
}

nm_can_connect() {
    [ -n "$port" ] || return 0
    case $(nmcli -g GENERAL.TYPE device show "$port") in
        ethernet | veth | tun) ;;
        *) stop "$port is neither a network card nor a tap: with NetworkManager, connect it to $bridge yourself and set" \
            "bridged_networking_iface_manage: no" ;;
    esac
}

undo_NetworkManager() {
    printf 'nmcli connection reload\n'
    for one in $port $old_port "$bridge"; do
        nm_active=$(nmcli -g GENERAL.CON-UUID device show "$one" 2>/dev/null || true)
        [ -z "$nm_active" ] || printf 'nmcli --wait 20 connection up uuid %s ifname %s\n' "$nm_active" "$one"
    done
}

# --- ifupdown ----------------------------------------------------------------------------------------------------

change_ifupdown() {
    [ -z "$port" ] || ! interfaces_have "$port" || take_from_interfaces "$port"
    [ -z "$old_port" ] || give_back_old_port
    put_bridge_files
    interfaces_read_folder
    [ ! -e "/sys/class/net/$bridge" ] || flush_addresses "$bridge"
    ifup --force "$bridge"
    [ -z "$old_port" ] || give_to_interfaces "$old_port"
}

undo_ifupdown() {
    for one in $port $old_port "$bridge"; do
        if [ -e "/sys/class/net/$one" ] && grep -qs "^$one=" /run/network/ifstate; then
            # ifup ends at an address that is there already
            printf 'ip address flush dev %s scope global\nifup --force %s\n' "$one" "$one"
        fi
    done
}

interfaces_read_folder() {
    grep -Eqs '^ *source(-directory)? +/etc/network/interfaces\.d' /etc/network/interfaces ||
        printf 'source /etc/network/interfaces.d/*\n' | add_line /etc/network/interfaces
}

interfaces_files() {
    find /etc/network/interfaces /etc/network/interfaces.d -type f ! -name 'hybrid-*' 2>/dev/null
}

# Does somebody else's text configure interface $1?
interfaces_have() {
    interfaces_files | while read -r one; do cat "$one"; done | grep -Eq "^[[:space:]]*iface[[:space:]]+$1[[:space:]]"
}

# Comment out what configures interface $1, so that give_to_interfaces finds it again.
take_from_interfaces() {
    ifdown --force "$1" >/dev/null 2>&1 || true
    interfaces_files | while read -r one; do
        awk -v name="$1" '
            $1 ~ /^(iface|auto|allow-|mapping|source|no-)/ { inside = 0 }
            $1 == "iface" && $2 == name { inside = 1 }
            $1 == "auto" || $1 ~ /^allow-/ {
                kept = $1
                for (i = 2; i <= NF; i++) if ($i != name) kept = kept " " $i; else found = 1
                if (found) print "#hybrid-" name "# " $1 " " name
                if (found && kept == $1) { found = 0; next }
                if (found) { found = 0; print kept; next }
            }
            inside && NF && $1 !~ /^#/ { print "#hybrid-" name "# " $0; next }
            { print }' "$one" >"$undo_folder/interfaces"
        cmp -s "$undo_folder/interfaces" "$one" || rewrite_file "$one" <"$undo_folder/interfaces"
    done
}

give_to_interfaces() {
    interfaces_files | while read -r one; do
        ! grep -q "^#hybrid-$1# " "$one" || sed "s/^#hybrid-$1# //" "$one" | rewrite_file "$one"
    done
    ! interfaces_have "$1" || ifup --force "$1" || true
}

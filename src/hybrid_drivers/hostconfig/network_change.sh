#!/bin/sh
# Making, changing and checking bridges, so that a change that cuts the host off is taken back.
# shellcheck disable=SC2154 # bridge, port, plan and backend come from plan_bridge in network.sh

network_wait=${HYBRID_NETWORK_WAIT:-20}

# Run a check until it succeeds, at most $network_wait seconds and one more try.
await() {
    await_end=$(($(date +%s) + network_wait))
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$await_end" ] || return 1
        sleep 0.1
    done
}

# --- is it as planned? -------------------------------------------------------------------------------------------

bridge_is() {
    plan_bridge "$@"
    bridge_files_are
    [ -z "$port" ] || [ "$backend" != ifupdown ] || ! interfaces_have "$port"
    bridge_is_live
}

bridge_is_live() {
    [ -d "/sys/class/net/$bridge/bridge" ] && port_is_connected && bridge_has_addresses && bridge_has_routes &&
        ip link show dev "$bridge" | grep -q '[<,]UP[,>]'
}

port_is_connected() {
    [ -z "$port" ] || { [ -e "/sys/class/net/$bridge/brif/$port" ] && [ -z "$(addresses_of "$port" -4)" ]; }
}

bridge_has_addresses() {
    bridge_now=$(ip -o address show dev "$bridge" 2>/dev/null)
    for one in $(planned address); do
        printf '%s\n' "$bridge_now" | grep -v ' tentative' | grep -qF " $one " || return 1
    done
}

bridge_has_routes() {
    planned route | while read -r destination gateway; do
        case $gateway in *:*) family=-6 ;; *) family=-4 ;; esac
        ip $family route show "$destination" dev "$bridge" | grep -qF "via $gateway " || exit 1
    done
}

# --- change, verify, take back -----------------------------------------------------------------------------------

put_bridge() {
    plan_bridge "$@"
    [ "$backend" != none ] || stop "nothing that keeps this system's network was found (systemd-networkd, NetworkManager, ifupdown)"
    ssh_here=$(ssh_connection)
    refuse_to_cut_off
    refuse_to_forget_interfaces
    old_port=$(sed -n 's/^port //p' "$plan_file" 2>/dev/null || true)
    [ "$old_port" != "$port" ] || old_port=
    trap '' HUP PIPE # a change begun is ended, with or without whoever asked for it
    begin_change
    set +e
    (
        set -e
        "change_$backend"
        verify_bridge
    )
    code=$?
    set -e
    if [ $code != 0 ]; then
        if [ -f "$undo_folder/undo" ]; then sh "$undo_folder/undo"; fi
        stop "so the network was put back as it was"
    fi
    end_change
}

refuse_to_cut_off() {
    [ -n "$port" ] || return 0
    master=$(basename "$(readlink "/sys/class/net/$port/master" || echo "$bridge")")
    [ "$master" = "$bridge" ] || stop "$port belongs to $master already: take it out there first, or name another interface"
    here=$(printf '%s' "$ssh_here" | awk '{ print $3 }')
    if [ -n "$here" ] && ip -o address show dev "$port" | grep -qF " $here/" && ! planned address | grep -qF "$here/"; then
        stop "$port has $here, where this host is configured, and $bridge would not: give bridged_networking_ip_iface: $port" \
            "or bridged_networking_static_ip: $here"
    fi
    if ip -4 route show default dev "$port" | grep -q . && ! planned route | grep -v : | grep -q '^default '; then
        stop "$port carries the default route: give bridged_networking_static_ip and _gateway, or" \
            "bridged_networking_ip_iface: $port, or name another interface"
    fi
}

verify_bridge() {
    ! await bridge_works || return 0
    port_is_connected || stop "$port was not connected to $bridge by $backend"
    bridge_has_addresses || stop "$bridge did not get $(planned address | tr '\n' ' ')from $backend"
    bridge_has_routes || stop "$bridge did not get its routes from $backend"
    gateway_answers || stop "the gateway $(planned_gateway) does not answer on $bridge"
    [ -z "$peer" ] || answers "$peer" || stop "$peer, which configures this host, cannot be reached through $bridge"
    bridge_is_live || stop "$bridge is not up"
}

bridge_works() {
    bridge_is_live && gateway_answers && { [ -z "$peer" ] || answers "$peer"; }
}

planned_gateway() {
    planned route | awk '$1 == "default" && $2 !~ ":" { print $2; exit }'
}

gateway_answers() {
    gateway=$(planned_gateway)
    [ -z "$gateway" ] || neighbour_answers "$gateway"
}

# A router may not answer pings, but it must say which hardware address it has.
neighbour_answers() {
    ping -c 1 -W 1 "$1" >/dev/null 2>&1 || ip neigh show to "$1" dev "$bridge" | grep -q REACHABLE
}

# To ping, or at least to a connection, by accepting or refusing it.
answers() {
    ping -c 1 -W 2 "$1" >/dev/null 2>&1 && return 0
    # shellcheck disable=SC2016 # for bash
    case $(timeout 3 bash -c 'exec 3<>"/dev/tcp/$1/22" && echo open' bash "$1" 2>&1) in
        *open* | *'Connection refused'*) return 0 ;;
    esac
    return 1
}

# --- the way back ------------------------------------------------------------------------------------------------

undo_folder=/run/opennebula-hybrid/undo
undo_unit=opennebula-hybrid-undo
network_folders='/etc/systemd/network /etc/systemd/system/systemd-networkd.service.d /etc/network
    /etc/NetworkManager/system-connections /etc/opennebula-hybrid/network'

# Write down how the network is, and have systemd put it back in three minutes unless end_change comes first.
begin_change() {
    # A run that was ended in the middle of a change left it to be taken back.
    [ ! -f "$undo_folder/undo" ] || sh "$undo_folder/undo"
    peer=$(printf '%s' "$ssh_here" | awk '{ print $1 }')
    [ -z "$peer" ] || answers "$peer" || peer=
    rm -rf "$undo_folder"
    mkdir -p "$undo_folder/files" && chmod 700 "$undo_folder"
    for one in $network_folders; do
        mkdir -p "$undo_folder/files${one%/*}"
        [ ! -d "$one" ] || cp -a "$one" "$undo_folder/files$one"
    done
    undo_text >"$undo_folder/undo.new"
    mv "$undo_folder/undo.new" "$undo_folder/undo"
    systemctl --quiet stop "$undo_unit.timer" "$undo_unit.service" 2>/dev/null || true
    systemctl --quiet reset-failed "$undo_unit.timer" "$undo_unit.service" 2>/dev/null || true
    systemd-run --quiet --collect "--unit=$undo_unit" --on-active=180 --timer-property=AccuracySec=1s \
        /bin/sh "$undo_folder/undo"
}

end_change() {
    systemctl --quiet stop "$undo_unit.timer"
    rm -rf "$undo_folder"
}

# The program that puts everything back; what the system's own tools do not bring back, it sets itself.
undo_text() {
    printf '#!/bin/sh\nsystemctl --quiet stop %s.timer\nexec </dev/null >%s/log 2>&1\nset -x\n' "$undo_unit" "$undo_folder"
    bridge_files | while read -r _ path _; do printf 'rm -f %s\n' "$path"; done
    for one in $network_folders; do
        [ ! -d "$one" ] || printf 'cp -a %s/files%s %s\n' "$undo_folder" "$one" "${one%/*}"
    done
    [ -d "/sys/class/net/$bridge" ] || printf 'ip link del %s\n' "$bridge"
    "undo_$backend"
    printf 'sleep 2\n'
    for one in $port $old_port "$bridge"; do
        [ ! -e "/sys/class/net/$one" ] || undo_device "$one"
    done
    printf 'rm -rf %s\n' "$undo_folder"
}

undo_device() {
    printf 'ip link set dev %s up\n' "$1"
    # shellcheck disable=SC2046 # none or two words
    printf 'ip link set dev %s %s\n' "$1" "$(basename "$(readlink "/sys/class/net/$1/master" || echo nomaster)" |
        sed '/^nomaster$/!s/^/master /')"
    { carried_by "$1" -4; carried_by "$1" -6; } | while read -r what one gateway; do
        case $what in
            address) printf 'ip -o address show dev %s | grep -qF " %s " || ip address replace %s dev %s\n' "$1" "$one" "$one" "$1" ;;
            *)
                case $gateway in *:*) family=-6 ;; *) family=-4 ;; esac
                printf 'ip %s route show %s dev %s | grep -qF "via %s " || ' $family "$one" "$1" "$gateway"
                printf 'ip %s route replace %s via %s dev %s onlink\n' $family "$one" "$gateway" "$1"
                ;;
        esac
    done
}

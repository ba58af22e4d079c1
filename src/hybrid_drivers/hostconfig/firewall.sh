#!/bin/sh
# What the steps' snippets may call for the firewall and NAT.
# shellcheck disable=SC2154 # state_dir is set in preamble.sh

# Two nftables tables of our own (inet: what may come in; ip: NAT), loaded at boot by a unit of our own: rules of others
# are never touched.
#
# PARTS: another role lets something in by a file /etc/opennebula-hybrid/firewall.d/NAME.nft, 600 root:root. It holds
# rules as they stand inside a chain of nft(8), a line each, and nothing else; for instance
#     ip saddr { 198.51.100.2, 198.51.100.3 } udp dport 4789 accept
# They come before the final "reject", in the order of the files' names, at every load and every boot. In a step:
#     check:  firewall_part_is NAME     (standard input: the rules; there, and in force if the firewall is)
#     apply:  put_firewall_part NAME    (the same input: tried by "nft -c", written, and put in force if the firewall is)
# Such a step may come before or after the role iptables, also without it. Empty input: a part without rules.

firewall_table=opennebula_hybrid
firewall_file=/etc/opennebula-hybrid/firewall.nft
firewall_parts=/etc/opennebula-hybrid/firewall.d
firewall_unit=opennebula-hybrid-firewall.service

# What is in force: the parts it was loaded with, and the tables as the kernel has them.
firewall_state() {
    cat "$firewall_parts"/*.nft 2>/dev/null || true
    nft -s list table inet "$firewall_table" 2>/dev/null && nft -s list table ip "$firewall_table" 2>/dev/null
}

firewall_unchanged() {
    [ -s "$state_dir/firewall.live" ] && firewall_state | cmp -s - "$state_dir/firewall.live"
}

# --- parts -------------------------------------------------------------------------------------------------------

firewall_loaded() {
    [ -s "$firewall_file" ] && nft list table inet "$firewall_table" >/dev/null 2>&1
}

firewall_part_is() { # name
    awk 1 | file_is "$firewall_parts/$1.nft" 600 root:root
    ! firewall_loaded || firewall_unchanged
}

put_firewall_part() { # name
    mkdir -p "$state_dir"
    awk 1 >"$state_dir/firewall.part"
    if command -v nft >/dev/null; then
        printf 'table inet %s_try {\nchain input {\ninclude "%s"\n}\n}\n' "$firewall_table" "$state_dir/firewall.part" |
            nft -c -f -
    fi
    put_file "$firewall_parts/$1.nft" 600 root:root <"$state_dir/firewall.part"
    rm -f "$state_dir/firewall.part"
    if firewall_loaded; then load_firewall; fi
}

# Are there no parts of these names?
no_firewall_parts() {
    for part; do
        [ ! -e "$firewall_parts/$part.nft" ] || return 1
    done
}

drop_firewall_parts() {
    for part; do
        rm -f "$firewall_parts/$part.nft"
    done
    if firewall_loaded; then load_firewall; fi
}

load_firewall() {
    nft -f "$firewall_file"
    firewall_state | put_file "$state_dir/firewall.live" 600 root:root
}

# --- what only this host knows -----------------------------------------------------------------------------------

# "peer-address peer-port own-address own-port" of the SSH connection we run in, also below sudo, which hides it.
ssh_connection() {
    ssh_pid=$$
    while [ "${ssh_pid:-0}" -gt 1 ]; do
        ssh_ends=$({ tr '\0' '\n' <"/proc/$ssh_pid/environ"; } 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p')
        if [ -n "$ssh_ends" ]; then
            printf '%s' "$ssh_ends"
            return 0
        fi
        ssh_pid=$(awk '$1 == "PPid:" { print $2 }' "/proc/$ssh_pid/status" 2>/dev/null) || return 0
    done
}

# The ports of SSH, which must never be closed: those of sshd's settings, of its socket unit (Ubuntu), and the one in use.
ssh_ports() {
    {
        sshd -T 2>/dev/null | awk '$1 == "port" { print $2 }'
        ! has_systemd || systemctl show -p ActiveState -p Listen ssh.socket sshd.socket 2>/dev/null |
            awk -F= '$1 == "Listen" { heard = heard "\n" $2 } $1 == "ActiveState" && $2 == "active" { up = 1 }
                $0 == "" { if (up) print heard; heard = ""; up = 0 } END { if (up) print heard }' |
            sed -n 's/.*:\([0-9]*\) (Stream)$/\1/p; s/^\([0-9]*\) (Stream)$/\1/p'
        ssh_connection | awk '{ print $4 }'
    } | sort -nu | awk 'NF { printf "%s%s", comma, $1; comma = ", " } END { if (!comma) printf "22" }'
}

nat_rule() { # masquerade (yes, no, auto), bridge, outgoing interface ('' when not given)
    case $1 in
        yes)
            nat_out=${3:-$(ip -4 route show default | awk '{ for (i = 1; i < NF; i++) if ($i == "dev") { print $(i + 1); exit } }')}
            [ -n "$nat_out" ] || stop 'there is no default route to hide guests behind: give iptables_masquerade_interface'
            printf 'oifname "%s" masquerade' "$nat_out"
            ;;
        auto)
            nat_net=$(ip -4 route show dev "$2" proto kernel scope link 2>/dev/null | awk '{ print $1; exit }')
            [ -z "$nat_net" ] || bridge_has_uplink "$2" || printf 'ip saddr %s oifname != "%s" masquerade' "$nat_net" "$2"
            ;;
    esac
}

# --- the whole ---------------------------------------------------------------------------------------------------

firewall_rules() { # as nat_rule
    nat_text=$(nat_rule "$@")
    sed -e "s|@SSH_PORTS@|$(ssh_ports)|" -e "s|@NAT@|$nat_text|"
}

firewall_is() { # persistent (yes or no), then as nat_rule
    persistent=$1
    shift
    firewall_rules "$@" | file_is "$firewall_file" 600 root:root
    folder_is "$firewall_parts" 700 root:root
    firewall_unchanged
    if [ "$persistent" = yes ] && has_systemd; then
        systemctl --quiet is-enabled "$firewall_unit"
        systemctl --quiet is-active "$firewall_unit"
    fi
}

put_firewall() {
    persistent=$1
    shift
    mkdir -p "$state_dir"
    make_folder "$firewall_parts" 700 root:root
    firewall_rules "$@" >"$state_dir/firewall.new"
    nft -c -f "$state_dir/firewall.new"
    put_file "$firewall_file" 600 root:root <"$state_dir/firewall.new"
    rm -f "$state_dir/firewall.new"
    if [ "$persistent" = yes ] && has_systemd; then
        systemctl daemon-reload
        systemctl --quiet enable "$firewall_unit"
        systemctl reload-or-restart "$firewall_unit"
    fi
    load_firewall
}

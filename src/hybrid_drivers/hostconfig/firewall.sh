#!/bin/sh
# What the steps' snippets may call for the firewall and NAT.
# shellcheck disable=SC2154 # state_dir is set in preamble.sh

# One nftables table of our own, loaded at boot by a unit of our own: rules of others are never touched.

firewall_table=opennebula_hybrid
firewall_file=/etc/opennebula-hybrid/firewall.nft
firewall_unit=opennebula-hybrid-firewall.service

# Does bridge $1 have a port that leads out of this host? (The ports of guests are taps.)
has_uplink() {
    for brport in "/sys/class/net/$1/brif/"*; do
        if [ -e "$brport" ] && [ ! -e "$brport/../tun_flags" ]; then return 0; fi
    done
    return 1
}

# Fill in what only this host knows: its SSH ports (we must not lock ourselves out), and the rule of the NAT.
firewall_rules() { # masquerade (yes, no, auto), bridge, outgoing interface ('' when not given)
    ssh_ports=$(sshd -T 2>/dev/null | awk '$1 == "port" { printf "%s%s", comma, $2; comma = ", " }')
    subnet=$(ip -4 route show dev "$2" proto kernel scope link 2>/dev/null | awk '{ print $1; exit }')
    nat_rule=
    case $1:$3:$subnet in
        no:* | auto:*:) ;;
        auto:*) has_uplink "$2" || nat_rule="ip saddr $subnet oifname != \"$2\" masquerade" ;;
        yes:?*:*) nat_rule="oifname \"$3\" masquerade" ;;
        yes::?*) nat_rule="ip saddr $subnet oifname != \"$2\" masquerade" ;;
        yes::) nat_rule="oifname \"$(ip -4 route show default | awk '{ print $5; exit }')\" masquerade" ;;
    esac
    sed -e "s|@SSH_PORTS@|${ssh_ports:-22}|" -e "s|@NAT@|$nat_rule|"
}

firewall_live() {
    nft -s list table inet "$firewall_table" 2>/dev/null
}

firewall_is() { # persistent (yes or no), then as firewall_rules
    persistent=$1
    shift
    firewall_rules "$@" | file_is "$firewall_file" 600 root:root
    [ -s "$state_dir/firewall.live" ]
    firewall_live | cmp -s - "$state_dir/firewall.live"
    if [ "$persistent" = yes ] && has_systemd; then
        systemctl --quiet is-enabled "$firewall_unit"
        systemctl --quiet is-active "$firewall_unit"
    fi
}

put_firewall() {
    persistent=$1
    shift
    mkdir -p "$state_dir"
    firewall_rules "$@" >"$state_dir/firewall.new"
    nft -c -f "$state_dir/firewall.new"
    put_file "$firewall_file" 600 root:root <"$state_dir/firewall.new"
    rm -f "$state_dir/firewall.new"
    if [ "$persistent" = yes ] && has_systemd; then
        systemctl daemon-reload
        systemctl --quiet enable "$firewall_unit"
        systemctl reload-or-restart "$firewall_unit"
    else
        nft -f "$firewall_file"
    fi
    firewall_live | put_file "$state_dir/firewall.live" 600 root:root
}

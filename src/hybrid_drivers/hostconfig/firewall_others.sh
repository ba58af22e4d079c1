#!/bin/sh
# What the steps' snippets may call to put other firewalls out of service, once ours is in force.

# Is unit $1 masked, or not there?
is_out_of_service() {
    has_systemd || return 0
    [ ! -c "/etc/systemd/system/$1" ] || return 0
    [ ! -e "/usr/lib/systemd/system/$1" ] && [ ! -e "/lib/systemd/system/$1" ] && [ ! -e "/etc/systemd/system/$1" ]
}

# --- OneProvision's own rules ------------------------------------------------------------------------------------
# A host it configured refuses all but the services of that time: what another table accepts is still refused by its own
# (nft(8): "accept" ends only the hook's present chain). So files that hold nothing but what its role iptables wrote
# (templates/rules.v4.j2 and rules.v6.j2) go out of service; one that somebody added rules to is theirs.

oneprovision_files() {
    for one in /etc/iptables/rules.v4 /etc/iptables/rules.v6 /etc/sysconfig/iptables /etc/sysconfig/ip6tables; do
        [ ! -f "$one" ] || ! oneprovision_wrote "$one" || printf '%s\n' "$one"
    done
}

oneprovision_wrote() {
    head -n 1 "$1" | grep -q '^# Ansible managed' && ! sed 1d "$1" | grep -Evq '^$|^\*(nat|filter)$|^COMMIT$|^:[A-Z]+ ACCEPT |'\
'^-A POSTROUTING -o [^ ]+ -j MASQUERADE$|^-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT$|'\
'^-A INPUT -p (icmp|ipv6-icmp) -j ACCEPT$|^-A INPUT -i lo -j ACCEPT$|'\
'^-A INPUT +(-i [^ ]+ )?(-d fe80::/64 )?-p (tcp|udp) (-m state --state NEW -m (tcp|udp)|-m (tcp|udp)) --dport [0-9]+ (-m state --state NEW )?-j ACCEPT$|'\
'^-A INPUT +(-i [^ ]+ )?-j REJECT --reject-with (icmp-host-prohibited|icmp6-adm-prohibited)$'
}

no_oneprovision_rules() {
    [ -z "$(oneprovision_files)" ]
}

# Ours are in force by now. What is live goes rule by rule, as it was put.
retire_oneprovision_rules() {
    oneprovision_files | while read -r one; do
        case $one in *v6 | *ip6tables) program=ip6tables ;; *) program=iptables ;; esac
        if command -v $program >/dev/null; then
            grep -o '^-A INPUT .*-j REJECT .*' "$one" | while read -r _ chain rule; do
                for chain in INPUT FORWARD; do
                    # shellcheck disable=SC2086 # the words of a rule
                    ! $program -C $chain $rule 2>/dev/null || $program -D $chain $rule
                done
            done
            sed -n 's/^-A POSTROUTING //p' "$one" | while read -r rule; do
                # shellcheck disable=SC2086 # the words of a rule
                ! $program -t nat -C POSTROUTING $rule 2>/dev/null || $program -t nat -D POSTROUTING $rule
            done
        fi
        mv "$one" "$one.oneprovision"
        info "$one was OneProvision's: it is $one.oneprovision now, and out of service"
    done
}

#!/bin/sh
# What the steps' snippets may call to set how people log in, without ever locking us out.
# shellcheck disable=SC2154 # state_dir is set in preamble.sh

# Does sshd, as it would start now, take passwords ($1: yes or no) and root ($2)? (It prints the old word for one value.)
sshd_is() {
    sshd_says=$(sshd -T 2>/dev/null | sed 's/^permitrootlogin without-password$/permitrootlogin prohibit-password/')
    printf '%s\n' "$sshd_says" | grep -qxF "passwordauthentication $1"
    printf '%s\n' "$sshd_says" | grep -qxF "permitrootlogin $2"
    ! restart_due sshd
}

put_sshd() {
    if [ "$2" = no ] && [ -z "${SUDO_USER:-}" ]; then
        stop 'PermitRootLogin no would lock us out: we log in as root'
    fi
    settings=$(printf 'PasswordAuthentication %s\nPermitRootLogin %s' "$1" "$2")
    main=/etc/ssh/sshd_config
    if grep -Eiqs '^ *Include +(/etc/ssh/)?sshd_config\.d/\*\.conf' "$main"; then
        ours=/etc/ssh/sshd_config.d/05-opennebula-hybrid.conf
        printf '%s\n' "$settings" | put_file "$ours" 600 root:root
        undo="rm -f $ours"
    else
        cp -p "$main" "$main.hybrid-was"
        { printf '%s\n' "$settings"; grep -Eiv '^ *(PasswordAuthentication|PermitRootLogin) ' "$main.hybrid-was"; } |
            put_file "$main" 644 root:root
        undo="mv -f $main.hybrid-was $main"
    fi
    if ! refused=$(sshd -t 2>&1); then
        $undo
        stop "sshd refuses the settings: $refused"
    fi
    rm -f "$main.hybrid-was"
    reload_sshd
    rm -f "$state_dir/restart/sshd"
}

# SIGHUP makes sshd read its settings; open connections stay (sshd(8)).
reload_sshd() {
    if has_systemd; then
        for sshd_unit in ssh.service sshd.service; do
            if systemctl --quiet is-active "$sshd_unit"; then
                systemctl reload "$sshd_unit"
                return
            fi
        done
    fi
    sshd_pid=$(sshd -T 2>/dev/null | sed -n 's/^pidfile //p')
    [ ! -s "${sshd_pid:-/run/sshd.pid}" ] || kill -HUP "$(cat "${sshd_pid:-/run/sshd.pid}")"
}

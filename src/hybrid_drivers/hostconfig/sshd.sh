#!/bin/sh
# What the steps' snippets may call to set how people log in, without ever locking us out.
# shellcheck disable=SC2154 # state_dir and mode are set in preamble.sh

sshd_main=/etc/ssh/sshd_config
# Before all others of the folder (01-permitrootlogin.conf of Red Hat's installer, 50-cloud-init.conf): sshd takes the
# first value it meets (sshd_config(5)).
sshd_ours=/etc/ssh/sshd_config.d/00-0-opennebula-hybrid.conf
sshd_begin='# Begin: OpenNebula Hybrid Drivers'
sshd_end='# End: OpenNebula Hybrid Drivers'

# Run sshd with these arguments; what it says goes into $sshd_output. Debian's has its folder in /run only while a service
# of sshd's runs: not where systemd listens for it.
sshd_run() {
    sshd_code=0
    sshd_output=$(sshd "$@" 2>&1) || sshd_code=$?
    case $sshd_output in *'privilege separation directory: /run/sshd'*)
        sshd_code=0
        if [ "$mode" = check ]; then
            sshd_output=$(sshd_aside "$@" 2>&1) || sshd_code=$?
        else
            mkdir -m 755 /run/sshd
            sshd_output=$(sshd "$@" 2>&1) || sshd_code=$?
        fi
        ;;
    esac
    return "$sshd_code"
}

# Run sshd with a /run of its own, which nobody else sees and which ends with it: where only differences are looked for,
# nothing changes, and a folder taken away again might be one that a login just began to use.
sshd_aside() {
    # shellcheck disable=SC2016 # for the inner shell
    unshare -m sh -c 'mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec sshd "$@"' sshd "$@"
}

# Does sshd, as it would start now, take passwords ($1: yes or no) and root ($2)? (It prints the old word for one value.)
sshd_says() {
    sshd_run -T || return 1
    sshd_settings=$(printf '%s\n' "$sshd_output" | sed 's/^\(permitrootlogin\) without-password$/\1 prohibit-password/')
    printf '%s\n' "$sshd_settings" | grep -qxF "passwordauthentication $1" &&
        printf '%s\n' "$sshd_settings" | grep -qxF "permitrootlogin $2"
}

sshd_is() {
    sshd_says "$1" "$2" && ! restart_due sshd
}

put_sshd() {
    case $2 in no | forced-commands-only)
        [ -n "${SUDO_USER:-}" ] || stop "PermitRootLogin $2 would lock us out: we log in as root"
        ;;
    esac
    # All of it as it would be, before any of it is put into place: a run may be cut off between two commands.
    sshd_accepts "$(sshd_whole "$1" "$2")"
    if sshd_has_folder; then sshd_lines "$1" "$2" | put_file "$sshd_ours" 600 root:root; fi
    if ! sshd_says "$1" "$2"; then sshd_whole "$1" "$2" | rewrite_file "$sshd_main"; fi
    reload_sshd
    rm -f "$state_dir/restart/sshd"
}

sshd_lines() {
    printf '%s\nPasswordAuthentication %s\nPermitRootLogin %s\n%s\n' "$sshd_begin" "$1" "$2" "$sshd_end"
}

# The main file with our lines first.
sshd_whole() {
    sshd_lines "$1" "$2"
    sed "/^$sshd_begin\$/,/^$sshd_end\$/d" "$sshd_main"
}

# Does the main file read the folder? (Red Hat 8's does not.)
sshd_has_folder() {
    grep -Eiqs '^ *Include +(/etc/ssh/)?sshd_config\.d/\*\.conf' "$sshd_main"
}

sshd_accepts() {
    sshd_try=$(mktemp)
    printf '%s\n' "$1" >"$sshd_try"
    sshd_run -t -f "$sshd_try" || true
    rm -f "$sshd_try"
    [ "$sshd_code" = 0 ] || stop "sshd refuses the settings: $sshd_output"
}

# SIGHUP makes sshd read its settings; open connections stay (sshd(8)). Where systemd listens (ssh.socket, Ubuntu 24.04)
# the service runs as long as we are logged in, or the next connection starts it with the new settings.
reload_sshd() {
    if has_systemd; then
        for sshd_unit in ssh.service sshd.service; do
            if systemctl --quiet is-active "$sshd_unit"; then
                systemctl reload "$sshd_unit"
                return
            fi
        done
    fi
    sshd_run -T || true
    sshd_pid=$(printf '%s\n' "$sshd_output" | sed -n 's/^pidfile //p')
    [ ! -s "${sshd_pid:-/run/sshd.pid}" ] || kill -HUP "$(cat "${sshd_pid:-/run/sshd.pid}")"
}

# --- keys --------------------------------------------------------------------------------------------------------

# The keys that let root in without any condition, and are missing in the file $1.
missing_root_keys() {
    grep -Ehs '^(ssh-|ecdsa-|sk-)' /root/.ssh/authorized_keys | grep -vxFf "$1" || true
}

#!/bin/sh
# Replaces the SSH host key of the host it runs on (hostkeys.py): first argument hybrid-stage-host-key, which makes a new
# key beside the present one and prints its public line, or hybrid-activate-host-key, which puts it into use.
# POSIX sh; nothing runs until the last line has arrived.
set -eu
umask 077
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
key=/etc/ssh/ssh_host_ed25519_key
new=$key.hybrid-new
old=$key.hybrid-old
# A key is whole when its private half gives its public half.
whole() {
    [ -s "$1" ] && [ -s "$1.pub" ] &&
        [ "$(ssh-keygen -y -f "$1" 2>/dev/null | cut -d' ' -f1,2)" = "$(cut -d' ' -f1,2 "$1.pub")" ]
}

stage() {
    if ! whole "$new"; then
        rm -f "$new" "$new.pub"
        ssh-keygen -q -t ed25519 -N '' -C '' -f "$new"
    fi
    cut -d' ' -f1,2 "$new.pub"
}

erase() {
    [ ! -e "$1" ] || shred -u "$1" 2>/dev/null || rm -f "$1"
}
# Does sshd show the key of the file? It is asked where we came in. Without ssh-keyscan a second after a reload must do.
in_use() {
    if ! command -v ssh-keyscan >/dev/null; then
        [ -n "${reloaded:-}" ] && sleep 1
        return
    fi
    # shellcheck disable=SC2046,SC2086 # client address, client port, our address, our port
    set -- ${SSH_CONNECTION:-- - 127.0.0.1 $(sshd -T 2>/dev/null | sed -n 's/^port //p' | head -n 1)}
    ssh-keyscan -T 3 -t ed25519 -p "$4" "$3" 2>/dev/null | cut -d' ' -f2,3 | grep -qxF "$(cut -d' ' -f1,2 "$key.pub")"
}

# SIGHUP makes sshd start anew with the same options; open connections stay (sshd(8)).
reload() {
    if [ -d /run/systemd/system ]; then
        for unit in ssh.service sshd.service; do
            if systemctl --quiet is-active "$unit"; then
                systemctl reload "$unit"
                return
            fi
        done
    fi
    pid_file=$(sshd -T 2>/dev/null | sed -n 's/^pidfile //p')
    if [ -s "${pid_file:-/run/sshd.pid}" ]; then
        kill -HUP "$(cat "${pid_file:-/run/sshd.pid}")"
    fi
}

activate() {
    if [ -e "$new" ]; then
        whole "$new" || { echo 'the staged key is damaged' >&2; exit 1; }
        sshd -T 2>/dev/null | grep -qixF "hostkey $key" || { echo "sshd is not set up to use $key" >&2; exit 1; }
        [ ! -e "$key" ] || cp -p "$key" "$old"
        chmod 600 "$new"
        chmod 644 "$new.pub"
        cp -p "$new.pub" "$key.pub"
        mv -f "$new" "$key"
        if ! reason=$(sshd -t 2>&1); then
            mv -f "$key" "$new"
            if [ -e "$old" ]; then mv -f "$old" "$key"; ssh-keygen -y -f "$key" >"$key.pub"; fi
            echo "sshd refuses it: $reason" >&2
            exit 1
        fi
        rm -f "$new.pub"
    fi
    # Also after a run that ended before it came here. Not needlessly: a second SIGHUP soon after one can end sshd.
    if ! in_use; then
        reload
        reloaded=yes
        waited=0
        until in_use; do
            [ "$waited" -lt 10 ] || { echo "sshd does not show the new key $waited s after its reload" >&2; exit 1; }
            sleep 1
            waited=$((waited + 1))
        done
    fi
    erase "$old"
}

case $1 in
    hybrid-stage-host-key) stage ;;
    hybrid-activate-host-key) activate ;;
esac

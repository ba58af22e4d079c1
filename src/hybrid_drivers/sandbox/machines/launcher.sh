#!/bin/sh
# Runs one real sandbox machine until it powers off. The namespace is made anew for every boot, as a restart of
# real hardware forgets bridges, tunnels and firewall rules too.
# It waits for a line on standard input: by then it has been put into its own control groups.
# usage: launcher.sh <name> <yard namespace> <folder with wire.batch and inside.batch> <systemd-nspawn ...>
name=$1
yard=$2
folder=$3
shift 3
read -r _ || exit 1 # whoever started it is gone

child=
trap '[ -n "$child" ] && kill -TERM "$child"; stopping=1' TERM
stopping=
code=0

# The wire goes first: a namespace lets go of its end only some time later, and until then answers for the machine.
unplug() {
    ip -n "$yard" link del "m${name##*-}" 2>/dev/null
}

boot() {
    unplug # of the boot before
    ip netns del "$name" 2>/dev/null
    ip netns add "$name" &&
        ip -n "$yard" -batch "$folder/wire.batch" &&
        ip -n "$name" -batch "$folder/inside.batch" || return 1
    [ -z "$stopping" ] || return 0
    "$@" &
    child=$!
    wait "$child"
    code=$?
    while kill -0 "$child" 2>/dev/null; do # the trap ends a wait early
        wait "$child"
        code=$?
    done
    child=
    return "$code"
}

while [ -z "$stopping" ]; do
    boot "$@" </dev/null
    code=$?
    [ "$code" -eq 133 ] || break # 133: the machine asked for a restart
done
unplug
exit "$code"

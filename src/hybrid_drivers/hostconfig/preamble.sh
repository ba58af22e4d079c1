#!/bin/sh
# Runs on the host, before the steps: how a step is run and reported. (What the
# steps' snippets call is in the other .sh files here.)
# POSIX sh (dash, busybox, bash). The protocol is described in script.py. Nothing runs until the last line of the
# script, `main "$@"`, has arrived: a script cut short by a lost connection does nothing.
set -u
umask 022
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
DEBIAN_FRONTEND=noninteractive
export LC_ALL PATH DEBIAN_FRONTEND

state_dir=/var/lib/opennebula-hybrid
lock_file=/run/opennebula-hybrid.lock
lock_wait=${HYBRID_LOCK_WAIT:-300}
would_restart=' '
changes=0

# --- running and reporting ---------------------------------------------------------------------------------------

# The uptime in hundredths of a second into $centis, without starting a process.
tick() {
    centis=0
    if read -r uptime_now _ 2>/dev/null </proc/uptime; then
        centis=$((${uptime_now%.*} * 100 + 1${uptime_now#*.} - 100))
    fi
}

# The seconds since $began into $seconds, as 12.34.
took() {
    tick
    elapsed=$((centis - began))
    hundredths=$((elapsed % 100))
    [ "$hundredths" -ge 10 ] || hundredths=0$hundredths
    seconds=$((elapsed / 100)).$hundredths
}

# Print the last lines of a text, each after a tag.
tagged() {
    printf '%s\n' "$2" | tail -n 20 | while IFS= read -r line; do
        [ -z "$line" ] || printf '%s %s\n' "$1" "$line"
    done
}

# Pass on what a snippet said for people: its lines "INFO: ...".
informed() {
    case $2 in
        *'INFO: '*) tagged "$1" "$(printf '%s\n' "$2" | sed -n 's/^INFO: //p')" ;;
    esac
}

fatal() {
    printf '@fatal %s\n' "$1"
    exit 3
}

# Run a snippet of step $2 ($1: check or apply) with what it reads; its output goes into $output, its exit code is ours.
# Never call it in a condition: a shell may then ignore "set -e" inside.
snippet() {
    output=$(
        set -e
        { "stdin_$2" 2>/dev/null | "$1_$2"; } 2>&1 9>&-
    )
}

fail_step() { # number exit-code
    took
    tagged "@stderr $1" "$output"
    printf '@step %s %s failed %s %s\n@end failed %s\n' "$1" "$total" "$2" "$seconds" "$changes"
    exit 1
}

# Run one step: number, role, name, "must" or "-", services to restart after a change.
run_step() {
    step=$1 must=$4
    shift 4
    tick
    began=$centis
    printf '@step %s %s start\n' "$step" "$total"
    snippet check "$step"
    code=$?
    if [ $code = 0 ]; then
        informed "@info $step" "$output"
        took
        printf '@step %s %s ok %s\n' "$step" "$total" "$seconds"
        return 0
    fi
    [ "$must" != must ] || fail_step "$step" $code
    changes=$((changes + 1))
    if [ "$mode" = check ]; then
        would_restart="$would_restart$* "
        tagged "@info $step" "$(printf '%s\n' "$output" | sed 's/^INFO: //' | tail -n 5)"
        took
        printf '@step %s %s would-change %s\n' "$step" "$total" "$seconds"
        return 0
    fi
    for unit; do
        { mkdir -p "$state_dir/restart" && : >"$state_dir/restart/$unit"; } 2>/dev/null || true
    done
    snippet apply "$step"
    code=$?
    [ $code = 0 ] || fail_step "$step" $code
    applied=$output
    snippet check "$step"
    code=$?
    if [ $code != 0 ]; then
        output="$applied
$output
still not as wanted after the change"
        fail_step "$step" 1
    fi
    informed "@info $step" "$applied"
    took
    printf '@step %s %s changed %s\n' "$step" "$total" "$seconds"
}

# One run at a time on a host: an earlier one may go on after its connection broke.
take_lock() {
    command -v flock >/dev/null 2>&1 || return 0
    exec 9>"$lock_file" || fatal "cannot write $lock_file"
    flock -w "$lock_wait" 9 || fatal "another configuration run holds $lock_file since more than $lock_wait seconds"
}

begin() { # protocol version, number of steps, mode
    total=$2 mode=$3
    printf '@hybrid %s %s %s\n' "$1" "$total" "$mode"
    case $mode in
        check) ;;
        apply)
            [ "$(id -u)" = 0 ] || fatal 'the host must be configured as root'
            take_lock
            ;;
        *) fatal "unknown mode: ${mode:-none}" ;;
    esac
}

finish() {
    printf '@end ok %s\n' "$changes"
}

#!/bin/sh
# What the steps' snippets may call. They run under "set -e", each in a subshell; a snippet's exit code is its answer.
# shellcheck disable=SC2154 # state_dir, lock_wait and would_restart are set in preamble.sh

# Tell people something; it is not an error.
info() {
    printf 'INFO: %s\n' "$*"
}

# Fail and say why: on standard error, so that the reason is told also where standard output is taken or written.
stop() {
    printf '%s\n' "$*" >&2
    exit 1
}

# What a check says before it fails: how things are. Shown when only looking, and when a change did not help.
differs() {
    printf '%s\n' "$*"
    return 1
}

in_container() {
    [ -e /run/systemd/container ] || [ -e /.dockerenv ] || grep -qs 'container=' /proc/1/environ
}

# One value of /etc/os-release (os-release(5)).
os() {
    # shellcheck disable=SC1091 # the host's own
    (. /etc/os-release 2>/dev/null && eval "printf '%s' \"\${$1:-}\"") || true
}

# This system's names in systems.py, the most exact first: "ubuntu-24.04 ubuntu debian", "redhat-9 redhat".
system_names() {
    case "$(os ID) $(os ID_LIKE) " in
        debian\ *) printf 'debian-%s debian' "$(os VERSION_ID)" ;;
        ubuntu\ *) printf 'ubuntu-%s ubuntu debian' "$(os VERSION_ID)" ;;
        *' debian '*) printf debian ;;
        rhel\ * | *' rhel '*)
            system_major=$(os VERSION_ID)
            printf 'redhat-%s redhat' "${system_major%%.*}"
            ;;
    esac
}

# Print the value of the argument SYSTEM=VALUE that fits this system best.
choose() {
    for system_name in $(system_names); do
        for choice; do
            case $choice in "$system_name="*)
                printf '%s' "${choice#*=}"
                return 0
                ;;
            esac
        done
    done
    printf 'no settings are known for this system: %s\n' "$(os PRETTY_NAME)" >&2
    printf 'no-settings-for-this-system' # nothing has this name, so whatever it is used for fails
    return 1
}

# --- files -------------------------------------------------------------------------------------------------------

# Is $1 a file of mode $2, owner:group $3, and exactly the content of standard input?
file_is() {
    if [ ! -f "$1" ] || [ -L "$1" ]; then differs "$1 is not there" || return; fi
    file_now=$(stat -c %a:%U:%G "$1")
    [ "$file_now" = "$2:$3" ] || differs "$1 is $file_now, not $2:$3" || return
    cmp -s - "$1" || differs "the content of $1 is another one"
}

# Put standard input to file $1 with mode $2 and owner:group $3, whole or not at all. ("cat", not the shell, writes:
# it names the reason when the disk is full.)
put_file() {
    mkdir -p "$(dirname "$1")"
    case $3 in root:*) ;; *) put_file_of_other "$@"; return ;; esac
    put_new=$(mktemp "$1.hybrid-XXXXXX")
    trap 'rm -f "$put_new"' EXIT
    cat >"$put_new"
    chown "$3" "$put_new"
    chmod "$2" "$put_new"
    mv -f "$put_new" "$1"
}

# The same in a folder that is not root's: its owner could put a link in the place of the new file, and have us change
# another one. So it is made in a folder of root's, which we stay in whatever its name comes to mean.
put_file_of_other() (
    put_folder=$(mktemp -d "$1.hybrid-XXXXXX")
    trap 'rm -rf "$put_folder"' EXIT
    cd "$put_folder" || exit
    case $(stat -c %u:%a .) in "$(id -u):"*700) ;; *) stop "somebody else changes ${1%/*}" ;; esac
    cat >new
    chown "$3" new
    chmod "$2" new
    mv -fT new "$1"
)

# Like put_file, after the command in $4... has accepted the new file, whose name is added to it.
put_checked_file() {
    checked=$(mktemp)
    trap 'rm -f "$checked"' EXIT
    cat >"$checked"
    checked_path=$1 checked_mode=$2 checked_owner=$3
    shift 3
    "$@" "$checked"
    put_file "$checked_path" "$checked_mode" "$checked_owner" <"$checked"
    rm -f "$checked"
}

# Is folder $1 of mode $2 and owner:group $3?
folder_is() {
    [ -d "$1" ] || differs "$1 is not there" || return
    folder_now=$(stat -c %a:%U:%G "$1")
    [ "$folder_now" = "$2:$3" ] || differs "$1 is $folder_now, not $2:$3"
}

make_folder() {
    mkdir -p "$1"
    [ ! -L "$1" ] || stop "$1 is a symbolic link, not a folder"
    chown -h "$3" "$1"
    chmod "$2" "$1"
}

# Does file $1 set key $2 once, by exactly the line $3?
setting_is() {
    [ -f "$1" ] || differs "$1 is not there" || return
    setting_now=$(grep "^[[:space:]]*$2[[:space:]]*=" "$1" || true)
    [ "$setting_now" = "$3" ] || differs "$1 has: ${setting_now:-no $2}"
}

# Put standard input to file $1; a file that is there keeps its mode and owner.
rewrite_file() {
    mode_owner=$(stat -c '%a %U:%G' "$1" 2>/dev/null || echo '644 root:root')
    put_file "$1" "${mode_owner% *}" "${mode_owner#* }"
}

# Take out every line of file $1 that sets key $2, and add the line $3 at its end.
put_setting() {
    kept=$(if [ -f "$1" ]; then grep -v "^[[:space:]]*$2[[:space:]]*=" "$1" || true; fi)
    printf '%s\n%s\n' "$kept" "$3" | rewrite_file "$1"
}

# Add standard input to file $1, whose last line may lack its end ("awk 1" adds it).
add_line() {
    { awk 1 "$1" 2>/dev/null || true; cat; } | rewrite_file "$1"
}

# Does file $1 have the line $2?
has_line() {
    grep -qsxF -- "$2" "$1" || differs "$1 lacks the line: $2"
}

# --- accounts ----------------------------------------------------------------------------------------------------

is_member() {
    case " $(id -nG "$1" 2>/dev/null) " in
        *" $2 "*) ;;
        *) differs "$1 is not a member of $2" ;;
    esac
}

# --- services ----------------------------------------------------------------------------------------------------

has_systemd() {
    [ -d /run/systemd/system ]
}

restart_due() {
    case $would_restart in *" $1 "*) return 0 ;; esac
    [ -e "$state_dir/restart/$1" ]
}

# Is unit $1 enabled, it or one of the others running, and no restart due?
service_is() {
    if ! has_systemd; then
        info "no systemd here: $1 is not managed"
        return 0
    fi
    systemctl --quiet is-enabled "$1" || differs "$1 is not enabled" || return
    systemctl --quiet is-active "$@" || differs "$1 does not run" || return
    ! restart_due "$1" || differs "$1 has to read its settings again"
}

# Enable unit $1 and ("restart" or "reload" in $2) make it read its settings when a step asked for that.
put_service() {
    systemctl daemon-reload
    systemctl --quiet enable "$1"
    service_verb=start
    if restart_due "$1" && systemctl --quiet is-active "$1"; then service_verb=$2; fi
    if ! systemctl "$service_verb" "$1"; then
        journalctl -q --no-pager -o cat -n 5 -u "$1" 2>/dev/null || true
        stop "systemctl $service_verb $1 failed"
    fi
    rm -f "$state_dir/restart/$1"
}

# --- kernel ------------------------------------------------------------------------------------------------------

sysctl_path() {
    printf '/proc/sys/%s' "$(printf '%s' "$1" | tr . /)"
}

# Is the kernel's setting $1 exactly $2? One that cannot be changed here (a container) counts, and is told.
sysctl_is() {
    sysctl_file=$(sysctl_path "$1")
    if [ -r "$sysctl_file" ] && [ "$(tr -s '[:space:]' ' ' <"$sysctl_file" | sed 's/ $//')" = "$2" ]; then return 0; fi
    if in_container && [ ! -w "$sysctl_file" ]; then
        info "$1 cannot be set in this container"
    else
        differs "$1 is $(tr -s '[:space:]' ' ' <"$sysctl_file" | sed 's/ $//')"
    fi
}

# Is module $1 there? In a container the kernel is not ours, so that is only told.
module_is() {
    [ ! -d "/sys/module/$1" ] || return 0
    ! grep -qs "/$1\\.ko" "/lib/modules/$(uname -r)/modules.builtin" || return 0
    in_container && info "kernel module $1: a container cannot load it"
}

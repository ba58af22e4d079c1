#!/bin/sh
# The side of packages.sh for systems with dnf and rpm.
# shellcheck disable=SC2154 # state_dir, said and said_code are set in preamble.sh and packages.sh

# The packages before a transaction of ours; it is there while one runs, and after one was cut off.
rpms_before=$state_dir/rpms-before

# A name counts as installed when a package provides it, as dnf takes it.
have_rpms() {
    [ ! -e "$rpms_before" ] || {
        printf 'an earlier installation was cut off\n'
        return 1
    }
    rpm_answer=$(rpm -q --whatprovides "$@" 2>&1) || {
        printf '%s\n' "$rpm_answer" | grep -E '^no package|not installed|rror' || true
        return 1
    }
}

list_rpms() {
    rpm -qa --qf '%{NEVRA}\n' | sort
}

install_rpms() {
    list_rpms | put_file "$rpms_before" 600 root:root
    dnf_with_metadata install "$@"
    rm -f "$rpms_before"
}

# dnf, by the metadata that is there; when it fails, by new metadata.
dnf_with_metadata() {
    run_dnf "$@" && return 0
    if ! dnf_is_busy; then
        run_dnf --refresh "$@" && return 0
    fi
    rm -f "$rpms_before"
    say_why ''
}

run_dnf() {
    patiently dnf_is_busy dnf_once "$@"
}

# dnf(8): exit code 200 is a lock that is held. rpm's own lock it would wait for without an end.
dnf_is_busy() {
    [ "$said_code" = 200 ]
}

dnf_once() {
    ! rpm_is_locked || {
        printf 'Error: the RPM database is locked by another program\n'
        return 200
    }
    dnf -y --setopt=install_weak_deps=False --setopt=exit_on_lock=True "$@"
}

# rpm locks the file .rpm.lock beside its database by fcntl(2), for whole transactions (rpm's lib/rpmlock.c).
rpm_is_locked() {
    rpm_lock=$(rpm -E '%{_dbpath}')/.rpm.lock
    [ -e "$rpm_lock" ] && grep -q " WRITE .*:$(stat -Lc %i "$rpm_lock") " /proc/locks
}

# rpm knows no half-installed packages: those that came during a transaction that was cut off may lack what their
# scripts do, and are installed again.
mend_rpms() {
    [ -e "$rpms_before" ] || return 0
    info 'an earlier installation was cut off: finishing it'
    rpm -qa >/dev/null 2>&1 || rebuild_rpm_database
    came=$(list_rpms | comm -13 "$rpms_before" -)
    # shellcheck disable=SC2086 # names of packages have no white space
    [ -z "$came" ] || run_dnf reinstall $came || info "could not install again: $(printf '%s' "$came" | tr '\n' ' ')"
    ! dnf_is_busy || say_why ''
    rm -f "$rpms_before"
}

# A kill can leave stale regions of Berkeley DB, the database of RHEL 8.
rebuild_rpm_database() {
    rm -f "$(rpm -E '%{_dbpath}')"/__db.*
    rpm --rebuilddb
}

# --- EPEL and CodeReady Builder ----------------------------------------------------------------------------------

# "on" or "off" and the name of every repository in /etc/yum.repos.d.
known_repositories() {
    cat /etc/yum.repos.d/*.repo 2>/dev/null | awk '
        /^[ \t]*\[/ { name = $0; sub(/^[ \t]*\[/, "", name); sub(/\].*/, "", name); state[name] = "on" }
        /^[ \t]*enabled[ \t]*=/ { value = tolower($0); sub(/^[^=]*=[ \t]*/, "", value)
                                  if (value !~ /^(1|yes|true|on)/) state[name] = "off" }
        END { for (name in state) print state[name], name }'
}

# The first repository of state $1 that is CodeReady Builder: crb, powertools on 8, codeready-builder-... on RHEL.
builder_repository() {
    known_repositories | sed -n "s/^$1 //p" | grep -v -e debug -e source |
        grep -E -m 1 '^(crb|[Pp]ower[Tt]ools|(rhui-)?codeready-builder-for-rhel-[0-9]+-.*rpms)$'
}

has_extra_repositories() {
    uses_dnf || return 0
    known_repositories | grep -qx 'on epel' && builder_repository on >/dev/null
}

put_extra_repositories() {
    known_repositories | grep -qx 'on epel' || put_epel
    builder_repository on >/dev/null || put_builder
}

put_epel() {
    if known_repositories | grep -qx 'off epel'; then
        enable_repository epel
    elif [ "$(os ID)" = rhel ]; then
        rhel_major=$(os VERSION_ID)
        install_packages "https://dl.fedoraproject.org/pub/epel/epel-release-latest-${rhel_major%%.*}.noarch.rpm"
    else
        install_packages epel-release
    fi
}

put_builder() {
    builder=$(builder_repository off) || true
    case $(os ID):$builder in
        rhel:*rhui*) enable_repository "$builder" ;;
        rhel:*)
            rhel_major=$(os VERSION_ID)
            builder=codeready-builder-for-rhel-${rhel_major%%.*}-$(uname -m)-rpms
            subscription-manager repos --enable "$builder" >&2 ||
                stop "repository $builder could not be enabled: is this host registered with subscription-manager?"
            ;;
        *:) stop 'this host knows no repository crb (powertools on 8), which packages of OpenNebula need: add it' ;;
        *) enable_repository "$builder" ;;
    esac
}

enable_repository() {
    install_packages 'dnf-command(config-manager)'
    dnf -q config-manager --set-enabled "$1"
}

#!/bin/sh
# What the role opennebula-repository calls: where the packages are, and whose signature counts.

written_by='# written by OpenNebula Hybrid Drivers'

# The file that names the repository, the one with its key, and apt's with the password (of names nobody else has).
repository_files() {
    if uses_dnf; then
        repository_file=/etc/yum.repos.d/opennebula.repo
        key_file=/etc/pki/rpm-gpg/RPM-GPG-KEY-opennebula-hybrid
        password_file=
    else
        repository_file=/etc/apt/sources.list.d/opennebula.list
        key_file=/etc/apt/keyrings/opennebula-hybrid.asc
        password_file=/etc/apt/auth.conf.d/opennebula-hybrid.conf
    fi
}

# Read the user and the password for the repository, if it needs any, from standard input.
read_credentials() {
    user='' password='' repository_mode=644
    IFS= read -r user || return 0
    IFS= read -r password || true
    [ -n "$password_file" ] || repository_mode=600
}

# Where this system's packages are below $1, as OpenNebula's documentation has it.
repository_url() {
    case $(system_names) in
        debian-[0-9]*) printf '%s/Debian/%s' "$1" "$(os VERSION_ID)" ;;
        ubuntu-[0-9]*) printf '%s/Ubuntu/%s' "$1" "$(os VERSION_ID)" ;;
        redhat-[0-9]*)
            release=$(os VERSION_ID)
            case $(os ID) in almalinux) family=AlmaLinux ;; *) family=RedHat ;; esac
            # shellcheck disable=SC2016 # dnf knows basearch
            printf '%s/%s/%s/$basearch' "$1" "$family" "${release%%.*}"
            ;;
        *)
            printf 'OpenNebula has no packages for this system: %s\n' "$(os PRETTY_NAME)" >&2
            return 1
            ;;
    esac
}

# The text of the repository's file: $1 is the base address, $2 and $3 are 1 or 0: are packages' (on Debian: the
# repository's) and the metadata's signatures to be checked?
repository_text() {
    url=$(repository_url "$1") || return 1
    if uses_dnf; then
        printf '%s\n[opennebula]\nname=OpenNebula\nbaseurl=%s\nenabled=1\n' "$written_by" "$url"
        printf 'gpgcheck=%s\nrepo_gpgcheck=%s\ngpgkey=file://%s\n' "$2" "$3" "$key_file"
        [ -z "$user" ] || printf 'username=%s\npassword=%s\n' "$user" "$password"
    else
        if [ "$2" = 1 ]; then option="signed-by=$key_file"; else option='trusted=yes'; fi
        printf '%s\ndeb [%s] %s stable opennebula\n' "$written_by" "$option" "$url"
    fi
}

# What apt reads beside it (apt_auth.conf(5)): only for https may the protocol be left out.
password_text() {
    [ -z "$user" ] || printf 'machine %s\nlogin %s\npassword %s\n' "${1#https://}" "$user" "$password"
}

repository_is() {
    repository_files
    read_credentials
    wanted=$(repository_text "$@") || return 1
    printf '%s\n' "$wanted" | file_is "$repository_file" "$repository_mode" root:root || return 1
    if [ -z "$user" ]; then
        [ ! -e "$password_file" ]
    elif [ -n "$password_file" ]; then
        password_text "$1" | file_is "$password_file" 600 root:root
    fi
}

# Put the repository's file into place once its packages could be listed; until then nothing is changed.
put_repository() {
    repository_files
    read_credentials
    be_patient
    trial=$(mktemp -d)
    trap 'rm -rf "$trial"' EXIT
    repository_text "$@" >"$trial/opennebula.repo"
    password_text "$1" >"$trial/password"
    if uses_dnf; then list_rpm_repository; else list_deb_repository; fi ||
        say_why "the repository $(repository_url "$1") cannot be used"
    if [ -n "$user" ] && [ -n "$password_file" ]; then
        (put_file "$password_file" 600 root:root) <"$trial/password"
    elif [ -n "$password_file" ]; then
        rm -f "$password_file"
    fi
    (put_file "$repository_file" "$repository_mode" root:root) <"$trial/opennebula.repo"
}

list_rpm_repository() {
    run_dnf --setopt=reposdir="$trial" --setopt=skip_if_unavailable=False \
        --disablerepo='*' --enablerepo=opennebula --refresh makecache
}

list_deb_repository() {
    set -- -o Dir::Etc::sourcelist="$trial/opennebula.repo" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 \
        -o Dir::Etc::netrc="$trial/password"
    if ! grep -q trusted=yes "$trial/opennebula.repo"; then
        apt_get "$@" -o APT::Update::Error-Mode=any update
        return
    fi
    # A signature that nobody asked for fails as well: here only the list counts.
    apt_get "$@" update
    # shellcheck disable=SC2016 # for apt-get
    fetched=$(apt-get "$@" indextargets --format '$(FILENAME)' 'Created-By: Packages')
    [ -e "$fetched" ] || {
        # shellcheck disable=SC2034 # for say_why
        said_code=100
        return 1
    }
}

# No file of ours is there (one that names the repository but is somebody else's is left alone).
no_repository() {
    repository_files
    [ ! -e "$key_file" ] && [ ! -e "$password_file" ] && ! grep -qsxF "$written_by" "$repository_file"
}

remove_repository() {
    repository_files
    ! grep -qsxF "$written_by" "$repository_file" || rm -f "$repository_file"
    rm -f "$key_file" ${password_file:+"$password_file"}
}

# --- the key -----------------------------------------------------------------------------------------------------

# Is a key wanted here at all? On Debian it signs the repository, and $1 (1 or 0) decides; elsewhere $1 or $2.
key_is_wanted() {
    [ "$1" = 1 ] || { uses_dnf && [ "$2" = 1 ]; }
}

# The fingerprints of the keys in file $1; neither reads nor writes a keyring.
fingerprints() {
    gpg --homedir / --no-options --no-keyring --no-permission-warning --trust-model always --batch --quiet \
        --with-colons --show-keys "$1" 2>/dev/null |
        awk -F : '$1 == "pub" { first = 1 } $1 == "fpr" && first { print $10; first = 0 }'
}

# Does the key file hold keys of the fingerprints $1 (separated by spaces), and no others?
repository_key_is() {
    repository_files
    [ -f "$key_file" ] && [ ! -L "$key_file" ] && [ "$(stat -c %a:%U:%G "$key_file")" = 644:root:root ] || return 1
    held=$(fingerprints "$key_file")
    [ -n "$held" ] || return 1
    for fingerprint in $held; do
        case " $1 " in *" $fingerprint "*) ;; *) return 1 ;; esac
    done
}

# Fetch the key from $2 and keep of it what has one of the fingerprints $1.
put_repository_key() {
    repository_files
    key_folder=$(mktemp -d)
    trap 'rm -rf "$key_folder"' EXIT
    fetch "$2" >"$key_folder/fetched" || stop "the key of the repository could not be fetched from $2"
    trusted=
    for fingerprint in $(fingerprints "$key_folder/fetched"); do
        case " $1 " in *" $fingerprint "*) trusted="$trusted $fingerprint" ;; esac
    done
    [ -n "$trusted" ] || refuse_key "$1" "$2"
    keep_keys >"$key_folder/kept"
    (put_file "$key_file" 644 root:root) <"$key_folder/kept"
}

# Print the keys $trusted, and nothing else that was fetched with them, as ASCII armor: rpm and apt read that.
keep_keys() {
    mkdir -m 700 "$key_folder/gnupg"
    set -- gpg --homedir "$key_folder/gnupg" --no-options --no-autostart --trust-model always \
        --batch --quiet
    "$@" --import "$key_folder/fetched"
    # shellcheck disable=SC2086 # fingerprints
    "$@" --armor --export $trusted
}

refuse_key() {
    found=$(fingerprints "$key_folder/fetched" | tr '\n' ' ')
    [ -n "$found" ] || stop "what $2 gives is not an OpenPGP key"
    printf 'the key at %s is not trusted: its fingerprint is %s, expected was %s;\n' "$2" "${found% }" "$1"
    stop 'if OpenNebula changed its key, set opennebula_repository_key_fingerprint after you have verified the new one'
}

# Print what is at an address, by whatever this system has.
fetch() {
    if ! command -v curl >/dev/null && ! command -v wget >/dev/null && ! command -v python3 >/dev/null; then
        install_packages curl >&2
    fi
    if command -v curl >/dev/null; then
        curl -fsSL --retry 3 --max-time 120 "$1"
    elif command -v wget >/dev/null; then
        wget -q -O - --timeout=120 "$1"
    else
        python3 -c 'import sys, urllib.request as r; sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=120).read())' "$1"
    fi
}

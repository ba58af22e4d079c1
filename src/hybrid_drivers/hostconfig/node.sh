#!/bin/sh
# What the steps' snippets may call to make hypervisors.
# shellcheck disable=SC2154 # state_dir is set in preamble.sh

# --- KVM and QEMU ------------------------------------------------------------------------------------------------

# Give QEMU the name by which OpenNebula's drivers start it on every system (EMULATOR in vmm_exec_kvm.conf).
qemu_is_named() {
    [ -x /usr/bin/qemu-kvm-one ]
}

# The places are those of OpenNebula's share/scripts/qemu-kvm-one-gen.
name_qemu() {
    for qemu in /usr/libexec/qemu-kvm /usr/bin/qemu-kvm "/usr/bin/qemu-system-$(uname -m)"; do
        if [ -x "$qemu" ]; then
            ln -sfn "$qemu" /usr/bin/qemu-kvm-one
            return 0
        fi
    done
    stop 'there is no QEMU for this processor: qemu-kvm-one cannot be made'
}

# Let a loaded KVM module read its options again; one that guests use does so at the next boot.
reload_kvm() {
    for kvm_module in kvm_intel kvm_amd; do
        if [ ! -d "/sys/module/$kvm_module" ] || in_container; then continue; fi
        if [ "$(cat "/sys/module/$kvm_module/refcnt")" = 0 ]; then
            modprobe -r "$kvm_module"
            modprobe "$kvm_module"
        else
            info "guests are running: $kvm_module takes its new options at the next boot"
        fi
    done
}

# --- libvirt -----------------------------------------------------------------------------------------------------

# The units that take libvirtd's place or its sockets on systems with libvirt in parts (libvirt.org/daemons.html).
libvirt_parts() {
    for libvirt_part in qemu interface network nodedev nwfilter proxy secret storage; do
        printf 'virt%sd.service virt%sd.socket virt%sd-ro.socket virt%sd-admin.socket ' \
            "$libvirt_part" "$libvirt_part" "$libvirt_part" "$libvirt_part"
    done
    printf 'virtproxyd-tcp.socket virtproxyd-tls.socket '
    printf 'libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd-tcp.socket libvirtd-tls.socket'
}

libvirtd_settings=/etc/systemd/system/libvirtd.service.d/opennebula-hybrid.conf

# Is libvirtd one daemon that runs all the time, with standard input as its settings?
libvirtd_is_whole() {
    has_systemd || return 0
    file_is "$libvirtd_settings" 644 root:root
    for unit in $(libvirt_parts); do
        [ -c "/etc/systemd/system/$unit" ] # masked: a link to /dev/null
    done
}

make_libvirtd_whole() {
    put_file "$libvirtd_settings" 644 root:root
    # shellcheck disable=SC2046 # several units
    systemctl --quiet mask --now $(libvirt_parts) 2>&1 | grep -v 'does not exist, proceeding anyway' || true
    # Clients take these for a running virtqemud.
    rm -f /run/libvirt/virtqemud-sock /run/libvirt/virtqemud-sock-ro /run/libvirt/virtqemud-admin-sock
    systemctl daemon-reload
}

# --- SELinux -----------------------------------------------------------------------------------------------------

selinux_is_on() {
    command -v selinuxenabled >/dev/null && selinuxenabled
}

# Where "setsebool -P" keeps what is to hold after a reboot (semanage.conf(5): store-root; selinux_config(5)).
selinux_store() {
    store_root=$(sed -n 's/^[[:space:]]*store-root[[:space:]]*=[[:space:]]*//p' /etc/selinux/semanage.conf 2>/dev/null)
    policy=$(sed -n 's/^SELINUXTYPE=//p' /etc/selinux/config 2>/dev/null)
    printf '%s/%s/active/booleans.local' "${store_root:-/var/lib/selinux}" "${policy:-targeted}"
}

# Are the booleans NAME=0 or NAME=1 so, now and after a reboot?
selinux_booleans_are() {
    selinux_is_on || return 0
    selinux_local=$(selinux_store)
    for boolean; do
        case ${boolean#*=} in 1) boolean_word=on ;; *) boolean_word=off ;; esac
        [ "$(getsebool "${boolean%%=*}" 2>&1)" = "${boolean%%=*} --> $boolean_word" ]
        grep -qsx "$boolean" "$selinux_local"
    done
}

# --- LXC ---------------------------------------------------------------------------------------------------------

# A kernel module that a kernel may lack: what is then missing is told.
optional_module_is() {
    module_is "$1" || { ! modprobe -qn "$1" && info "this kernel has no module $1: $2"; }
}

"""Guests that start in seconds on a machine of the sandbox: a kernel of Debian's with BusyBox as its only program.

What the texts here do runs on the machine, as root; they need the packages ``busybox-static`` and those of a node.
"""

from __future__ import annotations

FOLDER = "/var/lib/one/datastores/0/guest"
_PROGRAMS = "sh mount insmod ip ping echo uname sleep cat hostname"

# Modules in the order they depend on each other (LAB: modprobe would need depmod's files).
_MODULES = "virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net"

INSTALL = """\
set -e
apt-get -qy -o DPkg::Lock::Timeout=60 install busybox-static >/dev/null
"""


def make_kernel_and_initramfs(*, guest: str, host: str) -> str:
    """Put ``vmlinuz`` and ``initrd`` into the folder; the guest takes the address ``guest`` and pings ``host``."""
    return f"""{INSTALL}
mkdir -p {FOLDER} /root/guest && cd /root/guest
image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p')
apt-get -q download "$image" >/dev/null 2>&1
dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x --wildcards './boot/vmlinuz-*' './lib/modules/*/virtio*' \\
    './lib/modules/*failover.ko*'
cp boot/vmlinuz-* {FOLDER}/vmlinuz
mkdir -p root/bin root/proc root/sys root/dev
cp /bin/busybox root/bin/
for one in {_PROGRAMS}; do ln -sf busybox "root/bin/$one"; done
{{
    printf '#!/bin/sh\\nmount -t proc none /proc\\nmount -t sysfs none /sys\\n'
    for one in {_MODULES}; do
        module=$(find lib/modules -name "$one.ko*")
        [ -z "$module" ] || {{ cp "$module" root/; echo "insmod /${{module##*/}}"; }}
    done
    printf 'ip link set eth0 up\\nip address add {guest} dev eth0\\n'
    printf 'ping -c 1 -w 10 {host} && echo GUEST REACHES THE HOST\\n'
    printf 'echo GUEST $(uname -r) IS UP\\nwhile sleep 100; do :; done\\n'
}} >root/init
chmod 755 root/init
(cd root && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >{FOLDER}/initrd
chown -R oneadmin:oneadmin {FOLDER}
"""


# What libvirt cannot do in a container, and only there (LAB): set up control groups and namespaces of guests.
CONFINE_LIBVIRT = """\
printf 'cgroup_controllers = []\\nnamespaces = []\\n' >>/etc/libvirt/qemu.conf
systemctl restart libvirtd
"""


def domain(name: str, bridge: str) -> str:
    """Describe a guest without acceleration, as OpenNebula's driver does: emulator, bridge, owner of the files."""
    return f"""\
<domain type='qemu'>
  <name>{name}</name><memory unit='MiB'>192</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type>
    <kernel>{FOLDER}/vmlinuz</kernel><initrd>{FOLDER}/initrd</initrd><cmdline>console=ttyS0 panic=1</cmdline></os>
  <devices>
    <emulator>/usr/bin/qemu-kvm-one</emulator>
    <serial type='file'><source path='{FOLDER}/console'/></serial>
    <interface type='bridge'><source bridge='{bridge}'/><model type='virtio'/></interface>
  </devices>
</domain>
"""


def make_container(name: str, *, address: str, bridge: str) -> str:
    """Make an unprivileged container of BusyBox with the ids of OpenNebula's driver (``id_map`` in lxcrc)."""
    folder = f"/var/lib/lxc-one/{name}"
    return f"""{INSTALL}
mkdir -p {folder}/rootfs/bin {folder}/rootfs/proc {folder}/rootfs/dev {folder}/rootfs/tmp
cp /bin/busybox {folder}/rootfs/bin/
for one in {_PROGRAMS}; do ln -sf busybox "{folder}/rootfs/bin/$one"; done
cat >{folder}/rootfs/bin/init <<'END'
#!/bin/sh
ip address add {address} dev eth0
ip link set eth0 up
echo "$(hostname) has the ids $(cat /proc/self/uid_map)" >/tmp/said
exec sleep 1000
END
chmod 755 {folder} {folder}/rootfs/bin/init
chown -R 600100001:600100001 {folder}/rootfs
cat >{folder}/config <<'END'
lxc.rootfs.path = dir:{folder}/rootfs
lxc.uts.name = {name}
lxc.init.cmd = /bin/init
lxc.idmap = u 0 600100001 65536
lxc.idmap = g 0 600100001 65536
lxc.apparmor.profile = unconfined
lxc.net.0.type = veth
lxc.net.0.link = {bridge}
lxc.mount.auto = proc
END
"""

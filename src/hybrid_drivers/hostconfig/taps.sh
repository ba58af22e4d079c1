#!/bin/sh
# What the steps' snippets may call to make tap and tun interfaces, by whatever the system keeps its network with.

tap_files() { # name: kind, path and mode of each file
    case $backend in
        networkd)
            printf 'netdev /etc/systemd/network/05-hybrid-%s.netdev 644\n' "$1"
            printf 'network /etc/systemd/network/06-hybrid-%s.network 644\n' "$1"
            ;;
        NetworkManager) printf 'connection /etc/NetworkManager/system-connections/hybrid-%s.nmconnection 600\n' "$1" ;;
        # Before those of bridges, which it may be connected to.
        ifupdown) printf 'interfaces /etc/network/interfaces.d/00-hybrid-%s 644\n' "$1" ;;
    esac
}

tap_file() { # kind, name, mode
    case $1 in
        netdev) printf '[NetDev]\nName=%s\nKind=%s\n' "$2" "$3" ;;
        network) printf '[Match]\nName=%s\n\n[Link]\nRequiredForOnline=no\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' "$2" ;;
        connection)
            nm_head "$2" tun "$2"
            printf '\n[tun]\nmode=%s\n\n[ipv4]\nmethod=disabled\n\n[ipv6]\nmethod=disabled\n' "$(nm_tun_mode "$3")"
            ;;
        interfaces)
            printf 'auto %s\niface %s inet manual\n' "$2" "$2"
            printf '    pre-up [ -e /sys/class/net/%s ] || ip tuntap add dev %s mode %s\n' "$2" "$2" "$3"
            printf '    up ip link set dev %s up\n    post-down ip link del dev %s || true\n' "$2" "$2"
            ;;
    esac
}

nm_tun_mode() { # NMSettingTunMode
    case $1 in tun) echo 1 ;; *) echo 2 ;; esac
}

# "tap" or "tun" (linux/if_tun.h: IFF_TUN 1, IFF_TAP 2).
tap_mode() {
    if [ $(($(cat "/sys/class/net/$1/tun_flags") & 2)) = 2 ]; then echo tap; else echo tun; fi
}

tap_is() { # name, tap or tun
    if in_container && [ ! -e /dev/net/tun ]; then
        info "no /dev/net/tun in this container: $1 is not made"
        return 0
    fi
    backend=$(net_backend)
    [ "$backend" != none ]
    tap_files "$1" | while read -r kind path mode; do
        tap_file "$kind" "$1" "$2" | file_is "$path" "$mode" root:root || exit 1
    done
    is_tap "$1" && [ "$(tap_mode "$1")" = "$2" ] && ip link show dev "$1" | grep -q '[<,]UP[,>]'
}

put_tap() {
    backend=$(net_backend)
    [ "$backend" != none ] || stop "nothing that keeps this system's network was found (systemd-networkd, NetworkManager, ifupdown)"
    refuse_to_forget_interfaces
    # One of the other kind gives way.
    if is_tap "$1" && [ "$(tap_mode "$1")" != "$2" ]; then ip link del dev "$1"; fi
    [ ! -e "/sys/class/net/$1" ] || is_tap "$1" || stop "$1 is there already, and neither a tap nor a tun"
    tap_files "$1" | while read -r kind path mode; do
        tap_file "$kind" "$1" "$2" | put_file "$path" "$mode" root:root
    done
    case $backend in
        networkd)
            networkd_reload
            await is_tap "$1" || stop "systemd-networkd did not make $1"
            networkd_reconfigure "$1"
            ;;
        NetworkManager)
            nmcli connection reload
            nmcli --wait 30 connection up "hybrid-$1" >/dev/null
            ;;
        ifupdown)
            interfaces_read_folder
            ifup --force "$1"
            ;;
    esac
    await is_tap "$1" || stop "$1 was not made by $backend"
}

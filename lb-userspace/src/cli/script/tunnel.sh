# FAMILY PORT: takes GUE off what comes to a UDP port.
fou() {
    modprobe -q fou || :
    [ "$1" = -4 ] || modprobe -q fou6 || :
    ip "$1" fou add port "$2" gue 2>/dev/null || ip fou show | grep -q "port $2 gue" ||
        fail "the kernel does not take UDP port $2 for GUE: is the module fou there, and the port free?"
}

# NAME TYPE ADDRESS: a device that takes tunnels to ADDRESS, from anywhere.
tunnel() {
    modprobe -q "$2" 2>/dev/null || modprobe -q ip6_tunnel || :
    if ! ip link show dev "$1" >/dev/null 2>&1; then
        case $2 in
        ip6tnl) ip link add "$1" type "$2" mode any local "$3" ;;
        *) ip link add "$1" type "$2" local "$3" ;;
        esac || fail "the kernel makes no tunnel device of type $2: is its module there?"
    fi
    case $(ip -o -d link show dev "$1") in
    *" local $3 "*) ;;
    *) fail "device $1 is for another address than $3: a host has one backend address of an IP version" ;;
    esac
    ip link set "$1" up
}

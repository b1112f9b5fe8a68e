# DEVICE: where the reverse path is checked strictly, it is checked loosely.
loosen() {
    all=$(cat /proc/sys/net/ipv4/conf/all/rp_filter)
    own=$(cat "/proc/sys/net/ipv4/conf/$1/rp_filter")
    case $all$own in
    *2* | 00) ;;
    *) echo 2 >"/proc/sys/net/ipv4/conf/$1/rp_filter" ;;
    esac
}

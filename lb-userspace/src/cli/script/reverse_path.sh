# DEVICE: where the reverse path is checked strictly, it is checked loosely.
loosen() {
    read -r all </proc/sys/net/ipv4/conf/all/rp_filter
    read -r own <"/proc/sys/net/ipv4/conf/$1/rp_filter"
    case $all$own in
    *2* | 00) ;;
    *) echo 2 >"/proc/sys/net/ipv4/conf/$1/rp_filter" ;;
    esac
}

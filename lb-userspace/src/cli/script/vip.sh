# ADDRESS BITS: makes it one of this host's addresses, on loopback.
vip() {
    case $(device_of "$1") in
    lo) ;;
    '') ip address add "$1/$2" dev lo ;;
    *) fail "$1 is an address of $(device_of "$1"), which would answer for it: take it off there" ;;
    esac
}

# ADDRESS BITS: takes it off loopback.
no_vip() {
    [ "$(device_of "$1")" != lo ] || ip address del "$1/$2" dev lo
}

//! What operators write is read as they mean it, and refused with a reason where it means nothing.

use super::*;

#[test]
fn vips_are_read_and_written_alike() {
    for text in [
        "192.0.2.10:443/tcp",
        "[2001:db8::10]:53/udp",
        "192.0.2.10:*/udp",
        "[2001:db8::10]:*/tcp",
        "192.0.2.10:2905/sctp",
        "203.0.113.0/28:443/tcp",
        "203.0.113.0/28:*/sctp",
        "10.0.0.0/8:80/tcp",
        "[2001:db8:1::/64]:443/tcp",
        "[2001:db8:1::/127]:*/udp",
    ] {
        assert_eq!(text.parse::<Vip>().unwrap().to_string(), text);
    }
}

#[test]
fn addresses_that_no_host_can_have_are_refused() {
    for text in [
        "0.0.0.0:80/tcp",
        "127.0.0.1:80/tcp",
        "224.0.0.1:80/tcp",
        "255.255.255.255:80/tcp",
        "[::]:80/tcp",
        "[::1]:80/tcp",
        "[ff02::1]:80/tcp",
        "[::ffff:192.0.2.1]:80/tcp",
        "192.0.2.10:0/tcp",
        "192.0.2.10:80",
        "192.0.2.10:**/tcp",
        "192.0.2.*:80/tcp",
        "0.0.0.0:*/tcp",
        "192.0.2.10:80/dccp",
        "192.0.2.10:+80/tcp",
        "192.0.2.10:65536/tcp",
        "192.0.2.10:/tcp",
        "[192.0.2.10]:80/tcp",
        "2001:db8::10:80/tcp",
        "[2001:db8::10:80/tcp",
        "203.0.113.0/28/tcp",
        "203.0.113.0:443/28/tcp",
        "203.0.113.0/33:443/tcp",
        "203.0.113.1/28:443/tcp",
        "2001:db8:1::/64:443/tcp",
        "[2001:db8:1::]/64:443/tcp",
        "0.0.0.0/0:443/tcp",
        "0.0.0.0/8:443/tcp",
        "127.0.0.0/8:443/tcp",
        "192.0.0.0/7:443/tcp",
        "224.0.0.0/8:443/tcp",
        "255.255.255.0/24:443/tcp",
        "[2000::/15]:443/tcp",
        "[::/16]:443/tcp",
        "[ff02::/16]:443/tcp",
        "192.0.2.10/tcp",
        "web:80/tcp",
    ] {
        let error = text.parse::<Vip>().unwrap_err().to_string();
        assert!(error.contains('`'), "{text}: {error}");
    }
}

#[test]
fn an_address_that_means_another_host_on_each_interface_is_refused_with_what_to_write() {
    for vip in [
        "[fe80::10]:80/tcp",
        "[febf:ffff::1]:*/udp",
        "[fe80::/64]:443/tcp",
        "[fe90::/16]:443/tcp",
    ] {
        let error = vip.parse::<Vip>().unwrap_err().to_string();
        assert!(error.contains("link-local"), "{vip}: {error}");
    }
    let error = Backend::parse_address("[fe80::11]:8080").unwrap_err();
    let error = error.to_string();
    assert!(error.contains("link-local"), "{error}");
    // A zone is one interface's, here; the form of addresses with a name in it is not read at all.
    let zone = Backend::parse_address("[fe80::11%2]:8080").unwrap_err();
    assert!(zone.to_string().contains("link-local"), "{zone}");
    assert!(Backend::parse_address("[fe80::11%eth0]:8080").is_err());
    // The whole host has one 169.254.0.0/16, for the interface that has a route there.
    for neighbours in ["[fec0::1]:80", "[fd00::1]:80", "169.254.7.7:80"] {
        assert!(Backend::parse_address(neighbours).is_ok(), "{neighbours}");
    }
}

#[test]
fn a_backend_has_an_address_that_a_host_can_have() {
    for text in [
        "0.0.0.0:80",
        "[::]:80",
        "127.0.0.1:80",
        "[::1]:80",
        "224.0.0.1:80",
        "[ff02::1]:80",
        "255.255.255.255:80",
        "[::ffff:192.0.2.1]:80",
    ] {
        let error = Backend::parse_address(text).unwrap_err().to_string();
        assert!(error.contains("not a unicast address"), "{text}: {error}");
    }
}

#[test]
fn a_prefix_of_all_bits_is_its_address() {
    for (text, meant) in [
        ("192.0.2.10/32:443/tcp", "192.0.2.10:443/tcp"),
        ("[2001:db8::10/128]:443/tcp", "[2001:db8::10]:443/tcp"),
    ] {
        let vip: Vip = text.parse().unwrap();
        assert_eq!(vip, meant.parse().unwrap());
        assert_eq!(vip.to_string(), meant);
    }
    let refused = "203.0.113.1/28:443/tcp".parse::<Vip>().unwrap_err();
    assert!(
        refused.to_string().contains("write 203.0.113.0/28"),
        "{refused}"
    );
}

#[test]
fn automatic_tables_have_a_hundred_slots_for_each_backend() {
    for (backends, slots) in [
        (0, 1_021),
        (10, 1_021),
        (11, 4_093),
        (163, 16_381),
        (1_000, 262_139),
        (655, 65_537),
        (20_000, 655_373),
    ] {
        assert_eq!(
            TableSlots::Auto.slots(backends),
            slots,
            "{backends} backends"
        );
    }
}

#[test]
fn names_are_kept_to_what_can_be_typed_and_logged() {
    for good in ["web", "a", "WEB-1.example_x", "0"] {
        assert!(good.parse::<ServiceName>().is_ok(), "{good}");
    }
    let too_long = "x".repeat(64);
    for bad in ["", "-web", "web server", "wéb", "web\n", too_long.as_str()] {
        assert!(bad.parse::<ServiceName>().is_err(), "{bad:?}");
    }
}

//! QUIC-LB configurations and server ids as operators write them.

use super::*;

const TEXT: &str = "[[service]]
name = \"web\"
vips = [\"192.0.2.10:443/udp\"]

[[service.quic_lb]]
config_id = 2
server_id_length = 2
first_octet_encodes_cid_length = true

[[service.backend]]
address = \"10.0.0.11:443\"
server_ids = [\"0a0B\", \"01\"]
";

/// Places and words of the faults of the text with each `(old, new)` replaced.
fn faults_with(replaced: &[(&str, &str)]) -> Vec<(String, String)> {
    let text = replaced.iter().fold(TEXT.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    });
    let faults = faults(&text).into_iter();
    faults
        .map(|(place, _, _, message)| (place, message))
        .collect()
}

#[test]
fn configurations_and_server_ids_are_read_as_meant() {
    let services = text::load(TEXT, &Host::default()).unwrap().desired.services;
    let web = &services[&"web".parse().unwrap()];
    let [(id, config)] = web.quic_lb.configs().collect::<Vec<_>>()[..] else {
        panic!("one configuration, not {:?}", web.quic_lb);
    };
    assert_eq!(
        (
            id.get(),
            config.server_id_length.get(),
            config.first_octet_encodes_cid_length
        ),
        (2, 2, true)
    );
    let [backend] = web.backends.values().collect::<Vec<_>>()[..] else {
        panic!("one backend");
    };
    let ids = backend.server_ids.iter().map(ToString::to_string);
    assert_eq!(ids.collect::<Vec<_>>(), ["01", "0a0b"]);
    let read = web.quic_server_ids().map(|(id, _)| id.to_string());
    assert_eq!(read.collect::<Vec<_>>(), ["0a0b"]);
}

#[test]
fn every_fault_has_its_place_and_says_what_to_do() {
    for (replaced, place, words) in [
        (
            ("config_id = 2", "config_id = 7"),
            "service[0].quic_lb[0].config_id",
            "write 0 to 6",
        ),
        (
            ("config_id = 2\n", ""),
            "service[0].quic_lb[0].config_id",
            "write config_id = 0",
        ),
        (
            ("config_id = 2", "config_id = 'a'"),
            "service[0].quic_lb[0].config_id",
            "expected u32",
        ),
        (
            ("length = 2", "length = 16"),
            "service[0].quic_lb[0].server_id_length",
            "write 1 to 15",
        ),
        (
            ("length = 2", "length = 0"),
            "service[0].quic_lb[0].server_id_length",
            "write 1 to 15",
        ),
        (
            ("length = 2", "length = 3"),
            "service[0].backend[0].server_ids",
            "no server id of 3 bytes",
        ),
        (
            ("0a0B", "0a0"),
            "service[0].backend[0].server_ids[0]",
            "two hexadecimal digits each",
        ),
        (
            ("0a0B", "+a0b"),
            "service[0].backend[0].server_ids[0]",
            "two hexadecimal digits each",
        ),
        (
            ("0a0B", ""),
            "service[0].backend[0].server_ids[0]",
            "write 1 to 15 bytes",
        ),
        (
            ("\"01\"", "\"0A0b\""),
            "service[0].backend[0].server_ids[1]",
            "stands already at",
        ),
        (
            ("/udp", "/tcp"),
            "service[0].quic_lb",
            "no VIP of the service is UDP",
        ),
        (
            ("[[service.quic_lb]]", "[service.quic_lb]"),
            "service[0].quic_lb",
            "[[service.quic_lb]]",
        ),
        (
            ("first_octet", "last_octet"),
            "service[0].quic_lb[0].last_octet_encodes_cid_length",
            "unknown field",
        ),
    ] {
        let found = faults_with(&[replaced]);
        let [(at, message)] = found.as_slice() else {
            panic!("{replaced:?}: {found:#?}");
        };
        assert_eq!(at, place, "{message}");
        assert!(message.contains(words), "{message}\nlacks: {words}");
    }
}

#[test]
fn config_ids_are_unique_and_so_are_server_ids() {
    let second = "[[service.quic_lb]]\nconfig_id = 2\nserver_id_length = 1\n\n[[service.backend]]";
    let found = faults_with(&[("[[service.backend]]", second)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "service[0].quic_lb[1].config_id");
    let other =
        "\"01\"]\n\n[[service.backend]]\naddress = \"10.0.0.12:443\"\nserver_ids = [\"0a0b\"]\n";
    let found = faults_with(&[("\"01\"]\n", other)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "service[0].backend[1].server_ids");
    assert!(found[0].1.contains("0a0b is that of backend 10.0.0.11:443"));
}

#[test]
fn server_ids_beyond_the_maps_size_are_a_fault_of_that_size() {
    let ids: Vec<String> = (0..16).map(|byte| format!("\"{byte:04x}\"")).collect();
    let mut text = "[daemon]\nmax_backends = 16\n".to_owned();
    text += "[[service]]\nname = \"web\"\nvips = [\"192.0.2.10:443/udp\"]\n";
    text += "[[service.quic_lb]]\nconfig_id = 0\nserver_id_length = 2\n";
    for host in 1..=3 {
        let ids = ids.join(",").replace("\"00", &format!("\"{host:02x}"));
        let backend = format!("address = \"10.0.0.{host}:443\"\nserver_ids = [{ids}]\n");
        text += "[[service.backend]]\n";
        text += &backend;
    }
    let found = faults(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "daemon.max_backends");
    assert!(found[0].3.contains("need 24"), "{}", found[0].3);
}

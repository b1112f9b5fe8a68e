//! The ABI: what `lb-common` says, the object's own BTF must say too.
//!
//! Both sides compile the same types, by different compilers for different machines; here the results are
//! compared.

mod layout;
mod maps;
mod object_file;

use lb_common::{names, settings::Settings, vip::Vip};
use lb_tests::{
    bpffs::Bpffs,
    netns::command,
    object::{Form, Object, object_path},
};
use object_file::ObjectFile;
use serde_json::Value;

#[test]
fn programs_are_named_as_the_daemon_calls_them() {
    let object = ObjectFile::read();
    assert_eq!(
        object.functions("xdp"),
        [names::BALANCER, names::DECAP, "pass", names::PROBE]
    );
    assert_eq!(
        object.functions("xdp.frags"),
        [
            names::BALANCER_FRAGS,
            names::DECAP_FRAGS,
            "pass_frags",
            names::PROBE_FRAGS
        ]
    );
}

#[test]
fn licence_is_one_that_the_kernel_takes_for_gpl_compatible() {
    let licence = ObjectFile::read().section("license");
    let licence = licence.strip_suffix(&[0]).expect("ends with a zero byte");
    // include/linux/license.h
    let accepted = [
        "GPL",
        "GPL v2",
        "GPL and additional rights",
        "Dual BSD/GPL",
        "Dual MIT/GPL",
        "Dual MPL/GPL",
    ];
    let licence = String::from_utf8_lossy(licence);
    assert!(accepted.contains(&licence.as_ref()), "{licence}");
}

#[test]
fn map_dumps_are_typed() {
    let mut object = Object::load(Settings::default(), Form::Plain);
    let vip = Vip {
        table_slots: 1_021,
        ..Vip::default()
    };
    object.put_vip("192.0.2.10".parse().expect("an address"), 80, 6, vip);
    let bpffs = Bpffs::mount();
    let pin = bpffs.path().join(names::VIPS_V4);
    object.pin_map(names::VIPS_V4, &pin);
    let pin = pin.display().to_string();
    let dump = command("bpftool", &["-j", "map", "dump", "pinned", &pin]);
    let dump: Value = serde_json::from_str(&dump).expect("bpftool writes JSON");
    let elements = dump.as_array().into_iter().flatten();
    let mut places = elements.filter_map(|element| element.pointer("/formatted/value"));
    let place = places.find(|place| place["ticket"] != 0).expect("a VIP");
    assert_eq!(place["vip"]["table_slots"], 1_021, "{place:#}");
    assert_eq!(place["key"]["protocol"], 6, "{place:#}");
}

#[test]
fn object_loads_with_the_systems_own_tools() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.path().join("programs");
    let (object, pins) = (object_path(), pins.display().to_string());
    let object = object.display().to_string();
    let _ = command("bpftool", &["prog", "loadall", &object, &pins]);
    let shown = command(
        "bpftool",
        &["-j", "prog", "show", "pinned", &format!("{pins}/balancer")],
    );
    let shown: Value = serde_json::from_str(&shown).expect("bpftool writes JSON");
    assert_eq!(
        shown.pointer("/gpl_compatible"),
        Some(&Value::from(true)),
        "{shown:#}"
    );
}

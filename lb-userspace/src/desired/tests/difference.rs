//! What has changed is found, and only that.

use super::*;

fn changed(after: &Desired, before: &Desired) -> Vec<(String, bool)> {
    let changed = after.changed_services(before);
    changed
        .map(|(name, is)| (name.to_string(), is.is_some()))
        .collect()
}

#[test]
fn services_that_are_new_changed_or_gone_are_told_in_the_order_of_names() {
    let before = desired();
    let mut after = before.clone();
    assert_eq!(changed(&after, &before), []);
    let web = add("web", backend("10.0.0.12:80", Mode::Nat));
    let gone = Change::RemoveService {
        name: name("dns"),
        force: true,
    };
    let new = ["a", "m", "z"].map(|new| service(new, &format!("192.0.2.{}:1/tcp", new.len()), &[]));
    after.apply(web).unwrap();
    after.apply(gone).unwrap();
    for service in new {
        after.services.insert(service.name.clone(), service.into());
    }
    let is = |name: &str, is| (name.to_owned(), is);
    let forth = [
        ("a", true),
        ("dns", false),
        ("m", true),
        ("web", true),
        ("z", true),
    ];
    assert_eq!(
        changed(&after, &before),
        forth.map(|(name, it)| is(name, it))
    );
    let back = [
        ("a", false),
        ("dns", true),
        ("m", false),
        ("web", true),
        ("z", false),
    ];
    assert_eq!(
        changed(&before, &after),
        back.map(|(name, it)| is(name, it))
    );
    let (_, web) = after.changed_services(&before).nth(3).unwrap();
    assert_eq!(web, after.services.get(&name("web")));
}

#[test]
fn services_that_are_equal_have_not_changed_though_nobody_shares_them() {
    assert_eq!(changed(&desired(), &desired()), []);
}

#[test]
fn a_change_leaves_other_services_shared_and_so_does_a_configuration_that_repeats_them() {
    let before = desired();
    let mut after = before.clone();
    after
        .apply(add("web", backend("10.0.0.12:80", Mode::Nat)))
        .unwrap();
    let dns = |desired: &Desired| Arc::as_ptr(&desired.services[&name("dns")]);
    assert_eq!(dns(&after), dns(&before));
    assert_ne!(dns(&desired()), dns(&before));
    after.apply(Change::Replace(desired())).unwrap();
    assert_eq!(dns(&after), dns(&before));
    assert_eq!(after, before);
}

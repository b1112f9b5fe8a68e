//! Who is left out of a new configuration drains, if that harms nobody.

use super::*;
use crate::model::Tracking;

const LATER: Duration = Duration::from_mins(1);

fn desired(backends: &[&str]) -> Desired {
    let service = service("web", "192.0.2.1:80/tcp", backends);
    Desired {
        services: [(service.name.clone(), Arc::new(service))].into(),
        ..Desired::default()
    }
}

fn web(desired: &mut Desired) -> &mut Service {
    Arc::make_mut(desired.services.values_mut().next().unwrap())
}

fn after(new: Desired, before: &Desired, room: usize) -> Vec<(String, Option<SystemTime>)> {
    let until = |_: &Service| Some(NOON + LATER);
    let mut after = new.after(before, until, room);
    assert_eq!(after.check(), []);
    let backends = web(&mut after).backends.values();
    let rows = backends.map(|it| {
        assert_eq!(it.state == AdminState::Drain, it.remove_at.is_some());
        (it.address.to_string(), it.remove_at)
    });
    rows.collect()
}

#[test]
fn who_is_left_out_drains_until_its_time() {
    let before = desired(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    let new = desired(&["10.0.0.2:80", "10.0.0.4:80"]);
    let until = Some(NOON + LATER);
    assert_eq!(
        after(new.clone(), &before, 100),
        [
            ("10.0.0.1:80".to_owned(), until),
            ("10.0.0.2:80".to_owned(), None),
            ("10.0.0.3:80".to_owned(), until),
            ("10.0.0.4:80".to_owned(), None),
        ]
    );
    assert_eq!(new.clone().after(&before, |_| None, 100), new);
}

#[test]
fn who_drains_already_goes_no_later_and_who_is_wanted_again_stays() {
    let mut before = desired(&["10.0.0.1:80", "10.0.0.2:80"]);
    for backend in web(&mut before).backends.values_mut() {
        backend.state = AdminState::Drain;
        backend.remove_at = Some(NOON);
    }
    assert_eq!(
        after(desired(&["10.0.0.2:80"]), &before, 100),
        [
            ("10.0.0.1:80".to_owned(), Some(NOON)),
            ("10.0.0.2:80".to_owned(), None),
        ]
    );
}

#[test]
fn nobody_stays_who_has_no_flows_to_keep() {
    let new = desired(&["10.0.0.1:80"]);
    let mut down = desired(&["10.0.0.2:80"]);
    let backend = web(&mut down).backends.values_mut().next().unwrap();
    backend.state = AdminState::Down;
    assert_eq!(after(new.clone(), &down, 100).len(), 1);

    let before = desired(&["10.0.0.2:80"]);
    let mut forgetful = new;
    web(&mut forgetful).moves.tracking = Tracking::Off;
    assert_eq!(after(forgetful, &before, 100).len(), 1);
}

#[test]
fn who_leaves_stands_in_nobodys_way() {
    let before = desired(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    let new = desired(&["10.0.0.4:80"]);
    assert_eq!(after(new.clone(), &before, 3).len(), 3);
    assert_eq!(after(new.clone(), &before, 1).len(), 1);

    let id: ServerId = "c0ffee".parse().unwrap();
    let name = |mut of: Desired, address: &str| {
        let backends = &mut web(&mut of).backends;
        let backend = backends.get_mut(&address.parse().unwrap()).unwrap();
        backend.server_ids = [id].into();
        of
    };
    let (before, new) = (name(before, "10.0.0.1:80"), name(new, "10.0.0.4:80"));
    let rows = after(new, &before, 100);
    let addresses: Vec<&str> = rows.iter().map(|(address, _)| address.as_str()).collect();
    assert_eq!(addresses, ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"]);

    let mut crowded = desired(&["10.0.0.4:80"]);
    web(&mut crowded).table_slots = TableSlots::Fixed(1_021);
    assert_eq!(after(crowded, &desired(&["10.0.0.1:80"]), 100).len(), 2);
}

//! Whatever is kept, and whenever the daemon starts anew: it is loaded.

use proptest::prelude::*;

use super::*;
use crate::state::digest;

/// What may be wanted, of few services and prefixes so that they come and go.
fn any_wanted() -> impl Strategy<Value = Desired> {
    let prefixes = ["10.0.0.0/8", "192.168.0.0/16", "2001:db8::/32"];
    let prefixes = prefixes
        .map(|text| text.parse::<Prefix>().unwrap())
        .to_vec();
    let services = prop::collection::vec(prop::option::of(0..4_usize), 5);
    (services, prop::sample::subsequence(prefixes, 0..=3)).prop_map(|(services, blocklist)| {
        let sizes: Vec<usize> = services.iter().map(|it| it.unwrap_or(0)).collect();
        let mut desired = fleet(&sizes);
        let mut is_wanted = services.iter().map(Option::is_some);
        desired.services.retain(|_, _| is_wanted.next().unwrap());
        desired.blocklist = blocklist.into_iter().collect();
        desired
    })
}

#[derive(Clone, Debug)]
enum Event {
    /// A save, after another configuration file or the same.
    Keep(Desired, bool),
    /// A start of the daemon, before which a line was begun or not.
    Start(bool),
    /// Somebody removes the file.
    Remove(&'static str),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (any_wanted(), any::<bool>()).prop_map(|(desired, of)| Event::Keep(desired, of)),
        2 => any::<bool>().prop_map(Event::Start),
        1 => prop::sample::select(vec![FILE, JOURNAL]).prop_map(Event::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_kept_is_loaded(events in prop::collection::vec(any_event(), 1..12), room in 0..4096_u64) {
        let place = Place::new();
        let mut keeper = place.keeper();
        let mut expected = None;
        for (generation, event) in (1..).zip(events) {
            match event {
                Event::Keep(desired, is_other) => {
                    keeper.room = room;
                    let digest = is_other.then(|| digest(&generation.to_string()));
                    keeper.keep(generation, digest.as_deref(), &desired).unwrap();
                    expected = Some((generation, digest, desired));
                }
                Event::Start(is_torn) => {
                    if is_torn && let Ok(text) = fs::read(place.journal()) {
                        fs::write(place.journal(), [&text, &b"{\"sum\":\"01"[..]].concat()).unwrap();
                    }
                    keeper = place.keeper();
                }
                // What was removed is lost until the next save; that one must be whole.
                Event::Remove(name) => {
                    let _ = fs::remove_file(place.0.path().join(name));
                    let Some((_, digest, desired)) = &mut expected else { continue };
                    keeper.keep(generation, digest.as_deref(), desired).unwrap();
                    if let Some((last, _, _)) = &mut expected { *last = generation; }
                }
            }
            let saved = load(place.0.path()).unwrap();
            let loaded = saved.map(|it| (it.generation, it.file_digest, it.desired));
            prop_assert_eq!(&loaded, &expected);
        }
    }
}

//! Whatever is kept, and whatever happens meanwhile, what is loaded is what was kept last.

use std::{
    fs::{self, File, OpenOptions},
    sync::Arc,
};

use proptest::prelude::*;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use tempfile::TempDir;

use super::*;
use crate::{
    config::{Host, text},
    model::{Prefix, Weight},
    state::{digest, journal},
};

/// Where the next journal is written before it has its name.
const NEXT_JOURNAL: &str = ".state.journal.next";

/// Services `s0` and so on with so many backends each.
fn fleet(backends: &[usize]) -> Desired {
    let mut toml = String::new();
    for (service, &backends) in backends.iter().enumerate() {
        let head = format!(
            "[[service]]\nname = \"s{service}\"\nvips = [\"192.0.2.{service}:80/tcp\"]\nmode = \"nat\"\n"
        );
        let backend = |it| format!("[[service.backend]]\naddress = \"10.0.{service}.{it}:80\"\n");
        toml.push_str(&head);
        toml.extend((0..backends).map(backend));
    }
    text::load(&toml, &Host::default()).unwrap().desired
}

/// The same, in which the first service's first backend weighs so much.
fn weighing(desired: &Desired, weight: u32) -> Desired {
    let mut desired = desired.clone();
    let service = Arc::make_mut(desired.services.values_mut().next().unwrap());
    let backend = service.backends.values_mut().next().unwrap();
    backend.weight = Weight::try_from(weight).unwrap();
    desired
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn keeper(&self) -> Keeper {
        Keeper::open(self.0.path()).unwrap().0
    }

    fn snapshot(&self) -> PathBuf {
        self.0.path().join(FILE)
    }

    fn journal(&self) -> PathBuf {
        self.0.path().join(JOURNAL)
    }

    #[track_caller]
    fn assert_has(&self, generation: u32, desired: &Desired) {
        let saved = load(self.0.path()).unwrap().unwrap();
        assert_eq!(saved.generation, generation);
        assert_eq!(&saved.desired, desired);
    }

    #[track_caller]
    fn assert_refused(&self, file: &Path, words: &str) {
        let before = [self.snapshot(), self.journal()].map(|path| fs::read(path).ok());
        let error = load(self.0.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}\nlacks: {words}");
        assert!(error.contains(file.to_str().unwrap()), "{error}");
        assert!(error.contains("move the file away"), "{error}");
        let after = [self.snapshot(), self.journal()].map(|path| fs::read(path).ok());
        assert!(before == after, "refused and changed");
    }

    /// Keeps a fleet, then three changes of it; answers what was wanted, the fleet first.
    fn begun(&self) -> (Keeper, [Desired; 4]) {
        let fleet = fleet(&[2, 1]);
        let wanted = [
            fleet.clone(),
            weighing(&fleet, 2),
            weighing(&fleet, 3),
            weighing(&fleet, 4),
        ];
        let mut keeper = self.keeper();
        for (generation, desired) in (1..).zip(&wanted) {
            keeper.keep(generation, Some("digest"), desired).unwrap();
        }
        (keeper, wanted)
    }
}

#[test]
fn changes_are_lines_and_the_snapshot_stays() {
    let place = Place::new();
    let mut keeper = place.keeper();
    let fleet = fleet(&[2, 1]);
    keeper.keep(1, None, &fleet).unwrap();
    assert!(!place.journal().exists());
    let snapshot = fs::read(place.snapshot()).unwrap();
    for weight in 2..5 {
        let desired = weighing(&fleet, weight);
        keeper.keep(weight, Some("digest"), &desired).unwrap();
        place.assert_has(weight, &desired);
        let text = fs::read_to_string(place.journal()).unwrap();
        assert_eq!(text.lines().count(), weight as usize);
        for line in text.lines() {
            let _: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(!line.contains("s1"), "it has not changed: {line}");
        }
    }
    assert_eq!(fs::read(place.snapshot()).unwrap(), snapshot);
    let saved = load(place.0.path()).unwrap().unwrap();
    assert_eq!(saved.file_digest.as_deref(), Some("digest"));
}

#[test]
fn what_is_kept_again_costs_nothing() {
    let place = Place::new();
    let (mut keeper, wanted) = place.begun();
    let journal = fs::read(place.journal()).unwrap();
    keeper.keep(4, Some("digest"), &wanted[3].clone()).unwrap();
    assert_eq!(fs::read(place.journal()).unwrap(), journal);
    keeper.keep(5, Some("digest"), &wanted[3]).unwrap();
    place.assert_has(5, &wanted[3]);
}

#[test]
fn services_and_prefixes_that_are_gone_stay_gone() {
    let place = Place::new();
    let mut keeper = place.keeper();
    let mut desired = fleet(&[1, 1, 1]);
    let prefixes = ["203.0.113.0/24", "2001:db8:bad::/48"];
    let [one, other]: [Prefix; 2] = prefixes.map(|text| text.parse().unwrap());
    desired.blocklist = [one].into();
    keeper.keep(1, None, &desired).unwrap();
    desired.services.pop_first();
    desired.blocklist = [other].into();
    keeper.keep(2, None, &desired).unwrap();
    place.assert_has(2, &desired);
    desired.blocklist.clear();
    keeper.keep(3, None, &desired).unwrap();
    place.assert_has(3, &desired);
    assert!(place.journal().exists());
}

#[test]
fn a_start_writes_a_snapshot_and_ends_the_journal() {
    let place = Place::new();
    let (_, wanted) = place.begun();
    let (mut keeper, saved) = Keeper::open(place.0.path()).unwrap();
    assert!(place.journal().exists(), "opening changes nothing");
    assert_eq!(saved.unwrap().desired, wanted[3]);
    keeper.keep(4, None, &wanted[3]).unwrap();
    assert!(!place.journal().exists());
    place.assert_has(4, &wanted[3]);
}

#[test]
fn a_last_line_that_was_torn_anywhere_is_left_out() {
    let place = Place::new();
    let (_, wanted) = place.begun();
    let whole = fs::read(place.journal()).unwrap();
    let mut ends = vec![];
    ends.extend((1..=whole.len()).filter(|&end| whole[end - 1] == b'\n'));
    for end in ends[0]..=whole.len() {
        fs::write(place.journal(), &whole[..end]).unwrap();
        let changes = ends.iter().filter(|&&it| it <= end).count() - 1;
        let generation = u32::try_from(changes).unwrap() + 1;
        place.assert_has(generation, &wanted[changes]);
    }
    // The first line is never written by itself, so never torn.
    for end in 0..ends[0] {
        fs::write(place.journal(), &whole[..end]).unwrap();
        place.assert_refused(&place.journal(), "line 1: the file ends in its first line");
    }
}

#[test]
fn blocks_that_did_not_reach_the_disk_before_the_length_did_are_a_torn_line() {
    let place = Place::new();
    let (_, wanted) = place.begun();
    let whole = fs::read(place.journal()).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|&it| it == b'\n');
    let mut zeros = whole.clone();
    zeros[last.unwrap() + 1..].fill(0);
    fs::write(place.journal(), &zeros).unwrap();
    place.assert_has(3, &wanted[2]);
}

#[test]
fn damage_before_the_last_line_is_refused_with_what_to_do() {
    let place = Place::new();
    let _ = place.begun();
    let whole = fs::read(place.journal()).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|&it| whole[it] == b'\n').collect();
    for (at, line) in [
        (20, "line 1: "),
        (ends[0] + 1, "line 2: its checksum is wrong"),
        (ends[0] + 40, "line 2: its checksum is wrong"),
        (ends[1] + 60, "line 3: its checksum is wrong"),
    ] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(place.journal(), &damaged).unwrap();
        place.assert_refused(&place.journal(), line);
        let error = load(place.0.path()).unwrap_err().to_string();
        assert!(error.contains("or both"), "{error}");
    }
    // A whole line is missing, or is there twice.
    let lines: Vec<&[u8]> = whole.split_inclusive(|&it| it == b'\n').collect();
    fs::write(place.journal(), [lines[0], lines[2], lines[3]].concat()).unwrap();
    place.assert_refused(&place.journal(), "line 2: it is change 2, not 1");
    fs::write(place.journal(), [lines[0], lines[1], lines[1]].concat()).unwrap();
    place.assert_refused(&place.journal(), "line 3: it is change 1, not 2");
}

#[test]
fn what_cannot_be_wanted_and_what_is_newer_is_refused() {
    let place = Place::new();
    let (keeper, _) = place.begun();
    let snapshot = keeper.last;
    let whole = fs::read_to_string(place.journal()).unwrap();
    let first = |version: u32| {
        let first = whole.lines().next().unwrap();
        first.replace("\"version\":3", &format!("\"version\":{version}")) + "\n"
    };
    fs::write(place.journal(), first(4)).unwrap();
    place.assert_refused(
        &place.journal(),
        "has version 4, this daemon knows versions up to 3",
    );
    let taken = fleet(&[0, 0]).services.into_iter().map(|(name, service)| {
        let vips = ["192.0.2.1:80/tcp".parse().unwrap()].into();
        let service = crate::model::Service {
            vips,
            ..Arc::unwrap_or_clone(service)
        };
        (name, Arc::new(service))
    });
    let difference = Difference {
        sequence: 1,
        generation: 2,
        file_digest: None,
        services: taken.collect(),
        gone: [].into(),
        blocked: [].into(),
        unblocked: [].into(),
    };
    let line = journal::line(&difference, snapshot).unwrap();
    fs::write(place.journal(), [first(3).into_bytes(), line].concat()).unwrap();
    place.assert_refused(&place.journal(), "192.0.2.1:80/tcp");
    let unknown = journal::sealed(b"{\"sequence\":1,\"generation\":2,\"more\":3}", snapshot);
    fs::write(place.journal(), [first(3).into_bytes(), unknown].concat()).unwrap();
    place.assert_refused(&place.journal(), "line 2: unknown field `more`");
}

#[test]
fn a_journal_that_a_crash_left_beside_a_newer_snapshot_is_not_read() {
    let place = Place::new();
    let (mut keeper, wanted) = place.begun();
    let old = fs::read(place.journal()).unwrap();
    keeper.kept = None;
    keeper.keep(9, None, &wanted[0]).unwrap();
    // Whatever is in it.
    for text in [
        &old[..],
        &old[..old.len() / 2],
        &[&old[..], b"\n\n\n"].concat(),
    ] {
        fs::write(place.journal(), text).unwrap();
        place.assert_has(9, &wanted[0]);
    }
    // A daemon that finds it there after all does not add to it.
    keeper.keep(10, None, &wanted[1]).unwrap();
    place.assert_has(10, &wanted[1]);
    assert!(!place.journal().exists());
}

#[test]
fn a_journal_that_continues_another_snapshot_is_refused() {
    let place = Place::new();
    let (mut keeper, wanted) = place.begun();
    let old = fs::read(place.snapshot()).unwrap();
    keeper.kept = None;
    keeper.keep(9, None, &wanted[0]).unwrap();
    keeper.keep(10, None, &wanted[1]).unwrap();
    fs::write(place.snapshot(), old).unwrap();
    place.assert_refused(
        &place.journal(),
        "does not continue the state.json beside it",
    );
    fs::remove_file(place.snapshot()).unwrap();
    place.assert_refused(&place.journal(), "continues a state.json that is not there");
    fs::remove_file(place.journal()).unwrap();
    assert_eq!(load(place.0.path()).unwrap(), None);
}

#[test]
fn a_clock_that_goes_back_makes_no_snapshot_older() {
    let place = Place::new();
    let mut keeper = place.keeper();
    let future = u64::MAX / 2;
    keeper.last = future;
    let fleet = fleet(&[1]);
    keeper.keep(1, None, &fleet).unwrap();
    let saved = load(place.0.path()).unwrap().unwrap();
    assert_eq!(saved.snapshot, future + 1);
    let (mut keeper, _) = Keeper::open(place.0.path()).unwrap();
    keeper.keep(2, None, &fleet).unwrap();
    let saved = load(place.0.path()).unwrap().unwrap();
    assert_eq!(saved.snapshot, future + 2);
}

#[test]
fn a_journal_that_grows_long_is_ended_by_a_snapshot() {
    let place = Place::new();
    let mut keeper = place.keeper();
    let fleet = fleet(&[40, 40, 40, 40]);
    keeper.keep(1, None, &fleet).unwrap();
    let half = fs::metadata(place.snapshot()).unwrap().len() / 2;
    let mut ended = 0;
    for generation in 2..40 {
        let desired = weighing(&fleet, generation);
        keeper.room = if generation < 20 { 0 } else { 3 * half };
        keeper.keep(generation, None, &desired).unwrap();
        place.assert_has(generation, &desired);
        let length = fs::metadata(place.journal()).map_or(0, |it| it.len());
        assert!(length <= keeper.room.max(half), "{length} bytes");
        ended += u32::from(length == 0);
    }
    assert!((4..15).contains(&ended), "{ended} times");
    assert_eq!(place.keeper().room, 1 << 20);
    // What is longer than any journal may be is a snapshot at once.
    keeper.room = 0;
    keeper.keep(50, None, &Desired::default()).unwrap();
    keeper.keep(51, None, &fleet).unwrap();
    place.assert_has(51, &fleet);
    assert!(!place.journal().exists());
}

#[test]
fn files_that_are_taken_away_or_replaced_meanwhile_are_written_anew() {
    let place = Place::new();
    let (mut keeper, wanted) = place.begun();
    let mut generation = 10;
    let mut keep_after = |happens: &dyn Fn()| {
        happens();
        generation += 2;
        keeper.keep(generation, None, &wanted[1]).unwrap();
        place.assert_has(generation, &wanted[1]);
        keeper.keep(generation + 1, None, &wanted[2]).unwrap();
        place.assert_has(generation + 1, &wanted[2]);
    };
    keep_after(&|| fs::remove_file(place.journal()).unwrap());
    keep_after(&|| fs::remove_file(place.snapshot()).unwrap());
    keep_after(&|| fs::remove_dir_all(place.0.path()).unwrap());
    keep_after(&|| {
        fs::copy(place.journal(), place.0.path().join("copy")).unwrap();
        fs::rename(place.0.path().join("copy"), place.journal()).unwrap();
    });
}

#[test]
fn a_disk_without_room_for_a_line_keeps_what_was_and_takes_the_next() {
    let place = Place::new();
    let (mut keeper, wanted) = place.begun();
    let whole = fs::read(place.journal()).unwrap();
    // A file that is sealed against growing refuses as a full disk does, and lets itself be cut.
    let sealed = memfd_create("sealed", MemfdFlags::ALLOW_SEALING).unwrap();
    let sealed = File::from(sealed);
    sealed.set_len(whole.len() as u64).unwrap();
    fcntl_add_seals(&sealed, SealFlags::GROW).unwrap();
    let file = journal_file(&mut keeper, sealed);
    let error = keeper.keep(9, None, &wanted[0]).unwrap_err().to_string();
    assert!(error.starts_with("cannot write"), "{error}");
    assert!(error.contains(JOURNAL), "{error}");
    place.assert_has(4, &wanted[3]);
    // The change is undone: that is what is on the disk.
    keeper.keep(4, Some("digest"), &wanted[3]).unwrap();
    let _sealed = journal_file(&mut keeper, file);
    assert_eq!(fs::read(place.journal()).unwrap(), whole);
    keeper.keep(9, None, &wanted[0]).unwrap();
    place.assert_has(9, &wanted[0]);
    let text = fs::read_to_string(place.journal()).unwrap();
    assert_eq!(text.lines().count(), 5);
}

#[test]
fn a_journal_that_cannot_be_cut_is_replaced_by_a_snapshot() {
    let place = Place::new();
    let (mut keeper, wanted) = place.begun();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let _file = journal_file(&mut keeper, full);
    let error = keeper.keep(9, None, &wanted[0]).unwrap_err().to_string();
    assert!(error.starts_with("cannot write"), "{error}");
    place.assert_has(4, &wanted[3]);
    keeper.keep(4, Some("digest"), &wanted[3]).unwrap();
    assert!(!place.journal().exists());
    place.assert_has(4, &wanted[3]);
}

/// Has the keeper write its journal to `file`; answers what it wrote to.
fn journal_file(keeper: &mut Keeper, file: File) -> File {
    let journal = keeper.kept.as_mut().unwrap().journal.as_mut().unwrap();
    journal.exchange(file)
}

#[test]
fn what_was_left_of_a_line_that_failed_is_cut_off() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "whole\n").unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let mut appendable = Appendable::new(file, 6).unwrap();
    fs::write(&path, "whole\nhal").unwrap();
    appendable.take_back().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "whole\n");
    appendable.append(b"next\n").unwrap();
    assert_eq!(appendable.length(), 11);
    assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nnext\n");
}

#[test]
fn a_journal_that_cannot_be_made_leaves_the_snapshot() {
    let place = Place::new();
    let mut keeper = place.keeper();
    let fleet = fleet(&[2]);
    keeper.keep(1, None, &fleet).unwrap();
    // A directory in the place of the next file is a disk that refuses, for root too.
    let in_the_way = place.0.path().join(NEXT_JOURNAL);
    fs::create_dir(&in_the_way).unwrap();
    let desired = weighing(&fleet, 2);
    let error = keeper.keep(2, None, &desired).unwrap_err().to_string();
    assert!(error.starts_with("cannot write"), "{error}");
    place.assert_has(1, &fleet);
    keeper.keep(1, None, &fleet).unwrap();
    fs::remove_dir(in_the_way).unwrap();
    keeper.keep(2, None, &desired).unwrap();
    place.assert_has(2, &desired);
    assert!(place.journal().exists());
}

#[test]
fn a_snapshot_that_cannot_be_written_leaves_snapshot_and_journal() {
    let place = Place::new();
    let (mut keeper, wanted) = place.begun();
    let in_the_way = place.0.path().join(".state.json.next");
    fs::create_dir(&in_the_way).unwrap();
    keeper.room = 0;
    let long = fleet(&[9, 9, 9]);
    let error = keeper.keep(9, None, &long).unwrap_err().to_string();
    assert!(error.starts_with("cannot write"), "{error}");
    place.assert_has(4, &wanted[3]);
    keeper.keep(4, Some("digest"), &wanted[3]).unwrap();
    place.assert_has(4, &wanted[3]);
    fs::remove_dir(in_the_way).unwrap();
    keeper.keep(9, None, &long).unwrap();
    place.assert_has(9, &long);
}

#[test]
fn the_journal_is_read_by_nobody_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let _ = place.begun();
    let mode = fs::metadata(place.journal()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

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

//! Whatever is kept, and whatever happens meanwhile, what is loaded is what was kept last.

use std::{fs, sync::Arc, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::{
    config::{Host, text},
    model::{Prefix, Weight},
};

mod damage;
mod disk;
mod properties;

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
fn files_that_are_edited_in_their_place_meanwhile_are_written_anew() {
    let place = Place::new();
    let (mut keeper, wanted) = place.begun();
    let mut generation = 10;
    let mut keep_after = |happens: &dyn Fn()| {
        happens();
        generation += 2;
        keeper.keep(generation, None, &wanted[1]).unwrap();
        place.assert_has(generation, &wanted[1]);
        assert!(!place.journal().exists(), "a snapshot ends the journal");
        keeper.keep(generation + 1, None, &wanted[2]).unwrap();
        place.assert_has(generation + 1, &wanted[2]);
        assert!(place.journal().exists());
    };
    // Opens the file as it is: another inode would be noticed by that.
    let open = |path: &Path| fs::OpenOptions::new().write(true).open(path).unwrap();
    let written_later = |path: &Path| {
        let file = open(path);
        let before = file.metadata().unwrap().modified().unwrap();
        file.set_modified(before + Duration::from_nanos(1)).unwrap();
    };
    keep_after(&|| open(&place.journal()).set_len(0).unwrap());
    keep_after(&|| open(&place.journal()).set_len(200).unwrap());
    keep_after(&|| open(&place.journal()).set_len(1 << 16).unwrap());
    keep_after(&|| written_later(&place.journal()));
    keep_after(&|| open(&place.snapshot()).set_len(7).unwrap());
    keep_after(&|| written_later(&place.snapshot()));
}

#[test]
fn bytes_that_others_append_while_a_line_is_written_are_not_taken_for_the_journals() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "whole\nalien").unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let mut appendable = Appendable::new(file, 6).unwrap();
    appendable.append(b"nx\n").unwrap();
    assert_eq!(appendable.length(), 9);
    let found = Identity::at(&path).unwrap().unwrap();
    assert_ne!(appendable.identity(), found);
}

#[test]
fn the_journal_is_read_by_nobody_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let _ = place.begun();
    let mode = fs::metadata(place.journal()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

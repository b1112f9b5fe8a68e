//! Journals that a crash, a disk or somebody has left otherwise than they were written.

use super::*;
use crate::state::journal;

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

/// What an older version has saved, in place of the snapshot beside which it found a journal.
fn write_by_the_second_version(place: &Place, desired: &Desired) {
    let mut second = serde_json::to_value(Saved::new(5, None, desired.clone())).unwrap();
    second["version"] = 2.into();
    second.as_object_mut().unwrap().remove("snapshot");
    fs::write(place.snapshot(), second.to_string()).unwrap();
}

#[test]
fn a_journal_that_a_version_without_journals_has_left_is_not_read_and_ends() {
    let place = Place::new();
    let _ = place.begun();
    let old = fs::read_to_string(place.journal()).unwrap();
    let desired = fleet(&[3]);
    write_by_the_second_version(&place, &desired);
    for text in [
        old.clone(),
        old.replacen("\"version\":3", "\"version\":4", 1),
        old.replace("weight", "weighs"),
        String::new(),
    ] {
        fs::write(place.journal(), &text).unwrap();
        place.assert_has(5, &desired);
        assert_eq!(fs::read_to_string(place.journal()).unwrap(), text);
    }
    fs::write(place.journal(), &old).unwrap();
    let mut keeper = place.keeper();
    keeper.keep(6, None, &desired).unwrap();
    place.assert_has(6, &desired);
    assert!(!place.journal().exists());
}

#[test]
fn a_journal_of_the_future_that_was_not_read_is_older_than_the_next_snapshot() {
    let place = Place::new();
    let mut keeper = place.keeper();
    let future = u64::MAX / 2;
    keeper.last = future;
    let fleet = fleet(&[1]);
    keeper.keep(1, None, &fleet).unwrap();
    keeper.keep(2, None, &weighing(&fleet, 2)).unwrap();
    let left = fs::read(place.journal()).unwrap();
    write_by_the_second_version(&place, &fleet);
    place.keeper().keep(6, None, &fleet).unwrap();
    // As after a crash between both.
    fs::write(place.journal(), left).unwrap();
    place.assert_has(6, &fleet);
}

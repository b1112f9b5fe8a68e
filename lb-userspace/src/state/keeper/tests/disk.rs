//! Disks that refuse: what was kept is still there, and what comes next is kept.

use std::fs::{File, OpenOptions};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::*;

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
    let kept = keeper.kept.as_mut().unwrap();
    kept.journal = Some(Appendable::new(file, whole.len() as u64).unwrap());
    // The change is undone: that is what is on the disk.
    assert!(keeper.has(Some("digest"), &wanted[3]));
    assert!(!keeper.has(None, &wanted[3]) && !keeper.has(Some("digest"), &wanted[0]));
    keeper.keep(4, Some("digest"), &wanted[3]).unwrap();
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
    assert!(!keeper.has(Some("digest"), &wanted[3]), "nobody knows");
    keeper.keep(4, Some("digest"), &wanted[3]).unwrap();
    assert!(keeper.has(Some("digest"), &wanted[3]));
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

//! What was saved is read back; what cannot be read is refused and left alone.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use super::*;
use crate::{
    config::{Host, spec::ConfigSpec, validate},
    desired::Change,
    model::Scope,
};

/// Where the next file is written before it takes the name of the present one.
const NEXT_FILE: &str = ".state.json.next";

/// Two services, one with a backend that is being removed.
fn saved(generation: u32) -> Saved {
    let spec: ConfigSpec = toml::from_str(
        r#"
        [[service]]
        name = "web"
        vips = ["192.0.2.10:80/tcp", "[2001:db8::10]:80/tcp"]
        table_slots = 4093
        probe = { type = "http", path = "/healthy", interval = "1500ms" }
        backend = [{ address = "10.0.0.11:80" }, { address = "[fd00::12]:80", weight = 3 }]

        [[service]]
        name = "dns"
        vips = ["192.0.2.10:53/udp"]
        probe = { type = "tcp" }
        "#,
    )
    .unwrap();
    let mut desired = validate::config(&spec, &Host::default()).unwrap().desired;
    desired.blocklist = ["203.0.113.0/24", "2001:db8:bad::/48"]
        .map(|text| text.parse().unwrap())
        .into();
    let remove = Change::RemoveBackend {
        service: "web".parse().unwrap(),
        address: SocketAddr::from(([10, 0, 0, 11], 80)),
        at: Some(SystemTime::now() + Duration::new(30, 123)),
    };
    desired.apply(remove).unwrap();
    Saved::new(generation, Some(digest("text")), desired)
}

/// Saves as a daemon does that has just started.
fn save(directory: &Path, saved: &Saved) -> Result<(), StateError> {
    let digest = saved.file_digest.as_deref();
    Keeper::new(directory).keep(saved.generation, digest, &saved.desired)
}

/// What is read back, but for the number of the snapshot.
fn read_back(directory: &Path) -> Option<Saved> {
    let saved = load(directory).unwrap()?;
    Some(Saved {
        snapshot: 0,
        ..saved
    })
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn nothing_was_saved_at_first() {
    let directory = TempDir::new().unwrap();
    assert_eq!(load(directory.path()).unwrap(), None);
    assert_eq!(load(&directory.path().join("not there")).unwrap(), None);
}

#[test]
fn what_was_saved_last_is_read_back_with_removals_under_way() {
    let root = TempDir::new().unwrap();
    let directory = root.path().join("lb");
    for generation in [1, 2] {
        let saved = saved(generation);
        assert!(saved.desired.next_due(&Scope::All, None).is_some());
        save(&directory, &saved).unwrap();
        assert_eq!(read_back(&directory), Some(saved));
    }
    assert_eq!(mode(&directory), 0o750);
    assert_eq!(mode(&directory.join(FILE)), 0o640);
}

#[test]
fn crashes_while_writing_leave_what_was_saved_before() {
    let directory = TempDir::new().unwrap();
    let before = saved(1);
    save(directory.path(), &before).unwrap();
    fs::write(directory.path().join(NEXT_FILE), "{\"version\": 1, \"gen").unwrap();
    assert_eq!(read_back(directory.path()), Some(before));
    let after = saved(2);
    save(directory.path(), &after).unwrap();
    assert_eq!(read_back(directory.path()), Some(after));
    assert!(!directory.path().join(NEXT_FILE).exists());
}

#[test]
fn what_the_first_version_saved_is_read_and_blocks_nobody() {
    let directory = TempDir::new().unwrap();
    let mut saved = saved(1);
    saved.desired.blocklist.clear();
    let mut first = serde_json::to_value(&saved).unwrap();
    first["version"] = 1.into();
    first.as_object_mut().unwrap().remove("snapshot");
    first["desired"] = first["desired"]["services"].take();
    fs::write(directory.path().join(FILE), first.to_string()).unwrap();
    assert_eq!(read_back(directory.path()), Some(saved));
}

#[test]
fn what_the_second_version_saved_is_read() {
    let directory = TempDir::new().unwrap();
    let saved = saved(1);
    let mut second = serde_json::to_value(&saved).unwrap();
    second["version"] = 2.into();
    second.as_object_mut().unwrap().remove("snapshot");
    fs::write(directory.path().join(FILE), second.to_string()).unwrap();
    assert_eq!(load(directory.path()).unwrap(), Some(saved));
}

#[test]
fn links_in_the_way_are_replaced_and_not_followed() {
    let directory = TempDir::new().unwrap();
    let victim = directory.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, directory.path().join(NEXT_FILE)).unwrap();
    save(directory.path(), &saved(1)).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn files_that_are_not_ours_are_refused_with_what_to_do_and_left_alone() {
    let good = serde_json::to_string(&saved(1)).unwrap();
    for (text, words) in [
        (String::new(), "EOF"),
        (good[..good.len() / 2].to_owned(), "EOF"),
        ("[1]".to_owned(), "invalid"),
        (
            good.replace("\"generation\"", "\"generations\""),
            "unknown field `generations`",
        ),
        (
            good.replace("\"version\":3", "\"version\":4"),
            "has version 4, this daemon knows versions up to 3",
        ),
        (
            good.replace("192.0.2.10:53/udp", "192.0.2.10:80/tcp"),
            "VIP 192.0.2.10:80/tcp belongs to service `dns`",
        ),
        (
            good.replace("2001:db8:bad::/48", "203.0.113.7/32"),
            "203.0.113.7 lies in 203.0.113.0/24",
        ),
        (
            good.replace("\"1s 500ms\"", "\"5ms\""),
            "interval 5ms is out of range",
        ),
    ] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join(FILE);
        fs::write(&path, &text).unwrap();
        let error = load(directory.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}\nlacks: {words}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert!(error.contains("move the file away"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn file_systems_that_refuse_are_named_and_lose_nothing() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = save(&file, &saved(1)).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot make the state directory"),
        "{error}"
    );
    assert!(error.contains(file.to_str().unwrap()), "{error}");
    let error = load(&file).unwrap_err().to_string();
    assert!(error.starts_with("cannot read"), "{error}");

    // A directory in the place of the next file is a disk that refuses, for root too.
    let directory = root.path().join("lb");
    let before = saved(1);
    save(&directory, &before).unwrap();
    fs::create_dir(directory.join(NEXT_FILE)).unwrap();
    let error = save(&directory, &saved(2)).unwrap_err().to_string();
    assert!(error.starts_with("cannot write"), "{error}");
    assert_eq!(read_back(&directory), Some(before));
}

#[test]
fn digests_tell_texts_apart() {
    assert_eq!(digest("text").len(), 16);
    assert_eq!(digest("text"), digest("text"));
    assert_ne!(digest("text"), digest("text "));
}

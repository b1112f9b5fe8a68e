//! Starts with a file, without it, and with what was saved of it.

use tempfile::TempDir;

use super::*;
use crate::desired::Change;

const WEB: &str = "[[service]]\nname = \"web\"\nvips = [\"192.0.2.10:80/tcp\"]\n";

/// A start in `directory`, where the file is `lb.toml`.
fn start(directory: &Path) -> Result<Beginning, Failure> {
    let config = directory.join("lb.toml");
    let file = read(&config, false)?;
    beginning(&config, file, &directory.join("state"))
}

/// Starts, makes a change over the socket, and saves it; answers what is wanted then.
fn changed(directory: &Path) -> Desired {
    let mut begun = start(directory).unwrap_or_else(|_| panic!("no start"));
    let prefix = "203.0.113.0/24".parse().unwrap();
    begun.desired.apply(Change::Block([prefix].into())).unwrap();
    let digest = begun.digest.as_deref();
    begun.keeper.keep(1, digest, &begun.desired).unwrap();
    begun.desired
}

#[test]
fn a_start_without_the_file_of_what_was_saved_is_refused_and_loses_nothing() {
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("lb.toml");
    fs::write(&config, WEB).unwrap();
    let wanted = changed(directory.path());
    fs::remove_file(&config).unwrap();
    let Err(refused) = start(directory.path()) else {
        panic!("a start without the file");
    };
    let refused = format!("{refused:?}");
    for words in [
        "lb.toml is not there",
        "put it back",
        "state.json",
        "Failed",
    ] {
        assert!(refused.contains(words), "{refused}\nlacks: {words}");
    }
    fs::write(&config, WEB).unwrap();
    let Ok(begun) = start(directory.path()) else {
        panic!("no start with the file");
    };
    assert_eq!(begun.desired, wanted);
    assert_eq!(begun.replaces, None);
}

#[test]
fn without_a_file_from_the_first_what_was_saved_is_wanted() {
    let directory = TempDir::new().unwrap();
    let wanted = changed(directory.path());
    let Ok(begun) = start(directory.path()) else {
        panic!("no start without a file");
    };
    assert_eq!(begun.desired, wanted);
    assert_eq!(begun.replaces, None);
    // A file that comes later is applied.
    fs::write(directory.path().join("lb.toml"), WEB).unwrap();
    let Ok(begun) = start(directory.path()) else {
        panic!("no start with a new file");
    };
    assert_eq!(begun.replaces, Some(wanted));
}

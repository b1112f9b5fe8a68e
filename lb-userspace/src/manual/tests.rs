//! What the man pages and completions of a program must have; each program's own tests say so of it.

use super::*;

/// Names of all commands that are not hidden, from the program's: `lbctl`, `lbctl-service`, `lbctl-service-add`.
fn names(command: &Command, name: &str, into: &mut Vec<String>) {
    into.push(name.to_owned());
    for below in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        names(below, &format!("{name}-{}", below.get_name()), into);
    }
}

/// Every command of `program` has a man page that tells its options, and every shell completes it.
pub(crate) fn assert_is_told_whole(program: &Command) {
    let mut expected = Vec::new();
    names(program, program.get_name(), &mut expected);
    assert!(expected.len() >= 4, "{expected:?}");
    let directory = tempfile::tempdir().unwrap();
    let pages_in = directory.path().join("man1");
    pages(program.clone(), Some(&pages_in), &mut Vec::new()).unwrap();
    for name in &expected {
        let page = fs::read_to_string(pages_in.join(format!("{name}.1")));
        let page = page.unwrap_or_else(|error| panic!("{name}: {error}"));
        for part in [".TH", "NAME", "SYNOPSIS", "OPTIONS"] {
            assert!(page.contains(part), "{part} is not in the page of {name}");
        }
    }
    let shells = [
        Shell::Bash,
        Shell::Zsh,
        Shell::Fish,
        Shell::Elvish,
        Shell::PowerShell,
    ];
    for shell in shells {
        let mut script = Vec::new();
        completions(program.clone(), shell, &mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        for name in &expected {
            let word = name.rsplit('-').next().unwrap();
            assert!(script.contains(word), "{shell} does not know {name}");
        }
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("man1");
    let error = pages(Command::new("it"), Some(&below), &mut Vec::new()).unwrap_err();
    assert!(
        error.to_string().contains(below.to_str().unwrap()),
        "{error}"
    );
}

//! Man pages and completions of a command line, made from its own definition.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::{Man, generate_to};

/// Writes what `shell` completes the words of `command` by.
///
/// # Errors
/// What the system said.
pub fn completions(mut command: Command, shell: Shell, output: &mut dyn Write) -> io::Result<()> {
    let name = command.get_name().to_owned();
    // Its writer must not fail: what is printed may.
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    output.write_all(&script)
}

/// Writes the man page of `command` to `output` or, with a directory, one page for it and one for each command below it
/// there (`lbctl.1`, `lbctl-service-add.1`). The directory is made if it is not there.
///
/// # Errors
/// What the system said, with the path that it is about.
pub fn pages(command: Command, directory: Option<&Path>, output: &mut dyn Write) -> io::Result<()> {
    let Some(directory) = directory else {
        return Man::new(command).render(output);
    };
    let written = fs::create_dir_all(directory).and_then(|()| generate_to(command, directory));
    written.map_err(|error| {
        let message = format!("write man pages to {}: {error}", directory.display());
        io::Error::new(error.kind(), message)
    })
}

#[cfg(test)]
pub(crate) mod tests;

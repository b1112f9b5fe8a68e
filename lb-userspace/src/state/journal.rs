//! What was changed since the snapshot was written: a first line that names the snapshot, then one for each change that
//! was saved. Every line is JSON and has a checksum.
//!
//! A line that a crash cut off can only be the last, and nobody was told that its change is saved: it is left out. Any
//! other damage is an error.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Saved, Unusable, VERSION};
use crate::{
    desired::Desired,
    maglev::stable_hash,
    model::{Prefix, Service, ServiceName},
};

/// What stands in a line before its checksum, before its change and behind it.
const LINE: [&str; 3] = ["{\"sum\":\"", "\",\"change\":", "}"];
const SUM_DIGITS: usize = 16;

/// The first line: which snapshot the journal continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    version: u32,
    /// [`Saved::snapshot`].
    snapshot: u64,
    sum: String,
}

impl First {
    fn of(snapshot: u64) -> Self {
        let version = VERSION;
        Self {
            version,
            snapshot,
            sum: sum(format!("{version} {snapshot}").as_bytes(), snapshot),
        }
    }
}

/// What one save changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// 1 for the first after the snapshot.
    pub sequence: u64,
    /// The last publication, as in [`Saved`].
    pub generation: u32,
    /// The digest of the configuration file, as in [`Saved`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_digest: Option<String>,
    /// Services as they are now: new ones and such as have changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<ServiceName, Arc<Service>>,
    /// Services that are gone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gone: BTreeSet<ServiceName>,
    /// What has come on the blocklist.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub blocked: BTreeSet<Prefix>,
    /// What has gone from it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unblocked: BTreeSet<Prefix>,
}

impl Difference {
    /// What `kept` lacks to be what is to be saved now; `None` if it is that.
    pub(super) fn since(
        kept: &Saved,
        sequence: u64,
        generation: u32,
        file_digest: Option<&str>,
        desired: &Desired,
    ) -> Option<Self> {
        let mut difference = Self {
            sequence,
            generation,
            file_digest: file_digest.map(str::to_owned),
            services: BTreeMap::new(),
            gone: BTreeSet::new(),
            blocked: BTreeSet::new(),
            unblocked: BTreeSet::new(),
        };
        for (name, service) in desired.changed_services(&kept.desired) {
            match service {
                Some(service) => {
                    let service = Arc::clone(service);
                    difference.services.insert(name.clone(), service);
                }
                None => {
                    difference.gone.insert(name.clone());
                }
            }
        }
        let (before, after) = (&kept.desired.blocklist, &desired.blocklist);
        if before != after {
            difference.blocked = after.difference(before).copied().collect();
            difference.unblocked = before.difference(after).copied().collect();
        }
        let is_none = difference.services.is_empty()
            && difference.gone.is_empty()
            && before == after
            && (kept.generation, kept.file_digest.as_deref()) == (generation, file_digest);
        (!is_none).then_some(difference)
    }

    /// Makes `saved` what it was after this change.
    pub(super) fn apply(self, saved: &mut Saved) {
        saved.generation = self.generation;
        saved.file_digest = self.file_digest;
        let desired = &mut saved.desired;
        desired.services.extend(self.services);
        for name in &self.gone {
            desired.services.remove(name);
        }
        desired.blocklist.extend(self.blocked);
        for prefix in &self.unblocked {
            desired.blocklist.remove(prefix);
        }
    }
}

/// The first line of a journal that continues `snapshot`.
///
/// # Errors
/// What is to be written cannot be told in JSON.
pub fn first_line(snapshot: u64) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&First::of(snapshot))?;
    line.push(b'\n');
    Ok(line)
}

/// The line of `difference` in a journal that continues `snapshot`.
///
/// # Errors
/// What is to be written cannot be told in JSON.
pub fn line(difference: &Difference, snapshot: u64) -> serde_json::Result<Vec<u8>> {
    Ok(sealed(&serde_json::to_vec(difference)?, snapshot))
}

/// A line that holds `change` with its checksum.
#[must_use]
pub fn sealed(change: &[u8], snapshot: u64) -> Vec<u8> {
    let [before, between, behind] = LINE.map(str::as_bytes);
    let sum = sum(change, snapshot);
    [before, sum.as_bytes(), between, change, behind, b"\n"].concat()
}

/// A checksum of a line, which holds only in the journal of `snapshot`. Not cryptographic.
fn sum(change: &[u8], snapshot: u64) -> String {
    format!("{:0SUM_DIGITS$x}", stable_hash(change, snapshot))
}

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What it changes, in order.
    pub differences: Vec<Difference>,
    /// How many bytes at its end are no whole line: of a change that nobody was told to be saved.
    pub torn: usize,
}

/// The snapshot that the journal `text` continues, and its other lines.
///
/// # Errors
/// See [`Unusable`].
pub fn begin(text: &[u8]) -> Result<(u64, &[u8]), Unusable> {
    /// The one field that every version has.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }

    let corrupt = |why: String| Unusable::Corrupt(format!("line 1: {why}"));
    let (first, lines) =
        split(text).ok_or_else(|| corrupt("the file ends in its first line".to_owned()))?;
    let json = |error: serde_json::Error| corrupt(error.to_string());
    let Versioned { version } = serde_json::from_slice(first).map_err(json)?;
    if version > VERSION {
        return Err(Unusable::Newer(version));
    }
    let read: First = serde_json::from_slice(first).map_err(json)?;
    if read != First::of(read.snapshot) {
        return Err(corrupt("its checksum is wrong".to_owned()));
    }
    Ok((read.snapshot, lines))
}

/// Reads the lines after the first of a journal that continues `snapshot`.
///
/// # Errors
/// A line is damaged, and a crash did not do it.
pub fn read(mut lines: &[u8], snapshot: u64) -> Result<Read, Unusable> {
    let mut differences = Vec::new();
    while !lines.is_empty() {
        let expected = differences.len() as u64 + 1;
        let corrupt = |why: String| Unusable::Corrupt(format!("line {}: {why}", expected + 1));
        let whole = split(lines).map(|(line, others)| (opened(line, snapshot), others));
        let (change, others) = match whole {
            Some((Some(change), others)) => (change, others),
            // The next line is begun when this one is on the disk.
            Some((None, others)) if !others.is_empty() => {
                return Err(corrupt("its checksum is wrong".to_owned()));
            }
            Some((None, _)) | None => break,
        };
        let difference: Difference =
            serde_json::from_slice(change).map_err(|error| corrupt(error.to_string()))?;
        if difference.sequence != expected {
            let found = difference.sequence;
            return Err(corrupt(format!("it is change {found}, not {expected}")));
        }
        differences.push(difference);
        lines = others;
    }
    Ok(Read {
        differences,
        torn: lines.len(),
    })
}

/// The first line without its end, and what follows; `None` if it has no end.
fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let (line, rest) = text.split_at_checked(end)?;
    Some((line, rest.get(1..)?))
}

/// The change in a line whose checksum is right.
fn opened(line: &[u8], snapshot: u64) -> Option<&[u8]> {
    let [before, between, behind] = LINE.map(str::as_bytes);
    let (told, rest) = line.strip_prefix(before)?.split_at_checked(SUM_DIGITS)?;
    let change = rest.strip_prefix(between)?.strip_suffix(behind)?;
    (sum(change, snapshot).as_bytes() == told).then_some(change)
}

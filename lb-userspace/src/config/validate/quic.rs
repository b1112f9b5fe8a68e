//! QUIC-LB configurations and server ids: from texts and numbers to values.

use std::collections::BTreeSet;

use crate::{
    config::{
        fault::{Found, part},
        spec::QuicConfigSpec,
    },
    desired::rules::repeated,
    model::{ConfigId, QuicConfig, QuicLb, ServerId, ServerIdLength},
};

/// The configurations that could be read.
pub(super) fn read(specs: &[QuicConfigSpec], place: &str, found: &mut Found) -> QuicLb {
    let mut configs = Vec::with_capacity(specs.len());
    let mut places = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let id_place = part(&place, "config_id");
        let id = found.keep(id_place.as_str(), ConfigId::try_from(spec.config_id));
        places.extend(id.map(|id| (id, id_place)));
        let length = ServerIdLength::try_from(spec.server_id_length);
        let length = found.keep(part(&place, "server_id_length"), length);
        if let (Some(id), Some(server_id_length)) = (id, length) {
            let config = QuicConfig {
                server_id_length,
                first_octet_encodes_cid_length: spec.first_octet_encodes_cid_length,
            };
            configs.push((id, config));
        }
    }
    for (id, first, again) in repeated(places) {
        let id = id.get();
        let message = format!("config {id} stands already at {first}: config ids are unique");
        found.add(again, message);
    }
    configs.into_iter().collect()
}

/// The server ids; `None` if one of them could not be read.
pub(super) fn read_server_ids(
    texts: &[String],
    place: &str,
    found: &mut Found,
) -> Option<BTreeSet<ServerId>> {
    let mut ids = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let id = found.keep(place.as_str(), text.parse::<ServerId>());
        ids.push(id.map(|id| (id, place)));
    }
    for (id, first, again) in repeated(ids.iter().flatten().cloned()) {
        found.add(again, format!("server id {id} stands already at {first}"));
    }
    ids.into_iter().map(|id| Some(id?.0)).collect()
}

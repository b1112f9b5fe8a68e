//! Modes `nat` and `snat`: what the flow is to its backend, and what is remembered of it.

use std::net::SocketAddr;

use lb_common::{backend::Mode, outcome::Outcome};

use super::{Backend, FlowKey, Model, Remembered, parse::Parsed, word};
use crate::published::SOURCE_PORTS;

impl Model {
    /// The flow as the backend sees it; in mode `snat` from a source that is its own as long as it is remembered.
    ///
    /// `left` is what the program left of a frame: it chooses the port.
    pub(super) fn translated(
        &self,
        parsed: &Parsed,
        backend: &Backend,
        known: Option<&Remembered>,
        left: &[u8],
    ) -> Result<FlowKey, Outcome> {
        // What SCTP's checksum covers cannot be told from a change (RFC 9260 section 6.8).
        if backend.address.is_ipv4() != parsed.is_v4 || parsed.flow.protocol == 132 {
            return Err(Outcome::UnsupportedMode);
        }
        let to = |source| FlowKey {
            source,
            destination: backend.address,
            protocol: parsed.flow.protocol,
        };
        if backend.mode == Mode::NAT {
            return Ok(to(parsed.flow.source));
        }
        if let Some(source) = known.and_then(|known| known.source)
            && self.replies.get(&to(source).reversed()) == Some(&parsed.flow)
        {
            return Ok(to(source));
        }
        if !parsed.may_begin_flow() {
            return Err(Outcome::UnknownFlow);
        }
        let own = self.source(parsed, backend);
        let chosen = to(SocketAddr::new(own, Self::chosen_port(parsed, left)));
        assert!(
            !self.replies.contains_key(&chosen.reversed()),
            "{} is another flow's towards {}",
            chosen.source,
            chosen.destination
        );
        Ok(chosen)
    }

    /// The source port in the frame that the program left, which must be one that it may give out.
    fn chosen_port(parsed: &Parsed, left: &[u8]) -> u16 {
        // With such tags as it leaves with.
        let ethertypes = (12..).step_by(4);
        let ethertype = ethertypes
            .into_iter()
            .find(|it| matches!(word(left, *it), 0x0800 | 0x86dd));
        let ip = ethertype.expect("an IP packet") + 2;
        let port = word(left, ip + parsed.transport - parsed.ip);
        assert!(
            SOURCE_PORTS.contains(&port),
            "{port} is not among the source ports"
        );
        port
    }
}

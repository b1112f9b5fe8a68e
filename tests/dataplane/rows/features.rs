//! What the settings say is not in use is not looked up, whatever the maps hold.

use lb_common::outcome::Outcome;
use lb_tests::object::Action;

use super::{blocklist::block_client, echo};
use crate::{
    family::{Family, tcp},
    member::{L2_FRONT, NAT_BACK, PORT_L2_FRONT, PORT_NAT_BACK, Side, of},
    row::{Row, row},
};

/// Without any feature.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        let nat = of(family, NAT_BACK);
        let request = tcp(family, PORT_NAT_BACK);
        let reply = nat.replies_to(&request);
        let l2 = tcp(family, PORT_L2_FRONT);
        let in_prefix = l2.clone().to((family.in_prefix(3), PORT_L2_FRONT).into());
        let echo = echo::request(family, b"0123456789abcdef").to((family.in_prefix(3), 0).into());
        rows.extend([
            row(format!("{family:?}: without features, a vip"))
                .transmits(&l2, &L2_FRONT.receives(&l2)),
            row(format!("{family:?}: without a blocklist, who is on it"))
                .then(block_client)
                .transmits(&l2, &L2_FRONT.receives(&l2)),
            row(format!(
                "{family:?}: without replies, a reply is for nobody"
            ))
            .redirects(&request, &nat.receives(&request))
            .remembers(1, 1)
            .answers(
                Side::Back,
                &reply,
                Outcome::NotVip,
                Action::Pass,
                Some(&reply),
            ),
            row(format!("{family:?}: without prefixes, an address of one"))
                .passes(&in_prefix, Outcome::NotVip)
                .passes(&echo, Outcome::NotVip),
        ]);
    }
    rows
}

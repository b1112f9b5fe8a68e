//! Sources: who is blocked, and how much each may still send.

use std::net::IpAddr;

use lb_common::{
    budget::Budget,
    family::{Address, Address4, Address6, Family, V4, V6},
    names,
    source::SourceKey,
};

use super::{
    Object, clear,
    prefixes::{self, Names},
};

const BLOCKLIST: Names = [names::BLOCKLIST_V4, names::BLOCKLIST_V6];

type Key4 = SourceKey<Address4>;
type Key6 = SourceKey<Address<2>>;

const fn key<C>(service: u32, client: C) -> SourceKey<C> {
    SourceKey { service, client }
}

impl Object {
    /// Puts a prefix on the blocklist.
    pub fn block(&mut self, prefix: (IpAddr, u8)) {
        prefixes::insert(&mut self.ebpf, BLOCKLIST, prefix);
    }

    /// Takes everything off the blocklist.
    pub fn unblock_all(&mut self) {
        prefixes::clear(&mut self.ebpf, BLOCKLIST);
    }

    /// Says how much `source` may still send to a service.
    pub fn put_budget(&mut self, service: u32, source: IpAddr, budget: Budget) {
        let done = match source {
            IpAddr::V4(source) => {
                let key = key(service, V4::client(Address4::from(source)));
                self.hash::<Key4, Budget>(names::SOURCES_V4)
                    .insert(key, budget, 0)
            }
            IpAddr::V6(source) => {
                let key = key(service, V6::client(Address6::from(source)));
                self.hash::<Key6, Budget>(names::SOURCES_V6)
                    .insert(key, budget, 0)
            }
        };
        done.expect("writing a budget");
    }

    /// Every budget of a client, both families.
    #[must_use]
    pub fn budgets(&self) -> Vec<Budget> {
        let mut budgets = self.values::<Key4, Budget>(names::SOURCES_V4);
        budgets.extend(self.values::<Key6, Budget>(names::SOURCES_V6));
        budgets
    }

    /// Forgets what clients have sent.
    pub fn forget_sources(&mut self) {
        clear(&mut self.hash::<Key4, Budget>(names::SOURCES_V4));
        clear(&mut self.hash::<Key6, Budget>(names::SOURCES_V6));
    }
}

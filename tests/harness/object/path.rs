//! What aliases stand for.

use std::net::IpAddr;

use aya::Pod;
use lb_common::{
    backend::BackendId,
    family::{Address4, Address6},
    names,
    path::Path,
};

use super::{Object, clear};

impl Object {
    /// Lets the first of these addresses, an alias, stand for the second, a VIP's, on a backend that had this number in
    /// this generation; the third is our own. Answers go to `interface`.
    pub fn put_path(
        &mut self,
        addresses: [IpAddr; 3],
        backend: BackendId,
        generation: u32,
        interface: u32,
    ) {
        match addresses {
            [IpAddr::V4(alias), IpAddr::V4(vip), IpAddr::V4(source)] => {
                let addresses = [alias, vip, source].map(Address4::from);
                self.write_path(names::PATHS_V4, addresses, backend, generation, interface);
            }
            [IpAddr::V6(alias), IpAddr::V6(vip), IpAddr::V6(source)] => {
                let addresses = [alias, vip, source].map(Address6::from);
                self.write_path(names::PATHS_V6, addresses, backend, generation, interface);
            }
            _ => panic!("a path between two IP versions: {addresses:?}"),
        }
    }

    fn write_path<A: Pod>(
        &mut self,
        map: &str,
        [alias, vip, source]: [A; 3],
        BackendId(backend): BackendId,
        generation: u32,
        interface: u32,
    ) where
        Path<A>: Pod,
    {
        let path = Path {
            vip,
            source,
            backend,
            generation,
            interface,
        };
        let done = self.hash(map).insert(alias, path, 0);
        done.expect("writing a path");
    }

    /// Lets no alias stand for anything.
    pub fn forget_paths(&mut self) {
        clear(&mut self.hash::<Address4, Path<Address4>>(names::PATHS_V4));
        clear(&mut self.hash::<Address6, Path<Address6>>(names::PATHS_V6));
    }
}

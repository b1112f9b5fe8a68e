//! Tries of prefixes, written by address and length.

use std::net::IpAddr;

use aya::{
    Ebpf, Pod,
    maps::{LpmTrie, MapData, lpm_trie::Key},
};
use lb_common::family::{Address4, Address6};

/// The names of the two families' tries, IPv4 first.
pub(super) type Names = [&'static str; 2];

fn trie<'a, A: Pod>(ebpf: &'a mut Ebpf, name: &str) -> LpmTrie<&'a mut MapData, A, u32> {
    let map = ebpf.map_mut(name).expect("a list of prefixes");
    map.try_into().expect("a trie")
}

/// Puts a prefix into the trie of its family.
pub(super) fn insert(ebpf: &mut Ebpf, [v4, v6]: Names, (first, bits): (IpAddr, u8)) {
    let bits = u32::from(bits);
    let done = match first {
        IpAddr::V4(address) => {
            let key = Key::new(bits, Address4::from(address));
            trie(ebpf, v4).insert(&key, 1, 0)
        }
        IpAddr::V6(address) => {
            let key = Key::new(bits, Address6::from(address));
            trie(ebpf, v6).insert(&key, 1, 0)
        }
    };
    done.expect("writing a prefix");
}

/// Takes everything out of both tries.
pub(super) fn clear(ebpf: &mut Ebpf, [v4, v6]: Names) {
    fn clear<A: Pod>(mut trie: LpmTrie<&mut MapData, A, u32>) {
        let keys: Vec<Key<A>> = trie.keys().filter_map(Result::ok).collect();
        for key in keys {
            trie.remove(&key).expect("removing what is there");
        }
    }
    clear::<Address4>(trie(ebpf, v4));
    clear::<Address6>(trie(ebpf, v6));
}

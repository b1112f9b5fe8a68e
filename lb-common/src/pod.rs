//! Layout asserts for every type in a map and, for the daemon, the promise to aya that they are plain data.

use crate::{
    backend::{Backend, BackendId, Mode},
    be::{Be16, Be32},
    budget::Budget,
    decap::DecapSettings,
    family::{Address, Address4, Address6, V4, V6},
    flow::{Flow, FlowKey, Reply},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    load::Load,
    path::Path,
    placement::Place,
    prefix::Prefix,
    progress::Progress,
    quic::{Server, ServerIdKey},
    settings::{Settings, SourceNat},
    source::SourceKey,
    table::Slot,
    traffic::Traffic,
    translation::Translation,
    vip::{Vip, VipKey},
    vlan::{Vlan, VlanDevice},
};

/// For each type: its size is the sum of its fields' sizes, so it has no padding; under the feature
/// `aya`, it is `Pod`.
macro_rules! plain_data {
    ($($name:ty = [$($field:ty),+];)+) => {$(
        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$field>())+);

        // SAFETY: the type is `repr(C)` or `repr(transparent)`, has no padding (asserted above), and is made
        // of integers and arrays of integers only, so every bit pattern is valid and every byte is
        // initialised.
        #[cfg(feature = "aya")]
        #[expect(unsafe_code, reason = "aya's marker trait; proof above")]
        unsafe impl aya::Pod for $name {}
    )+};
}

plain_data! {
    Be16 = [u16];
    Be32 = [u32];
    Address4 = [[u8; 4]];
    Address6 = [[u8; 16]];
    BackendId = [u32];
    Mode = [u8];
    Slot = [u32];
    VipKey<Address4> = [Address<1>, Be16, u8, u8];
    VipKey<Address6> = [Address<4>, Be16, u8, u8];
    Vip = [[u32; 8]];
    Place<V4> = [VipKey<Address4>, [u32; 4], u64, Vip];
    Place<V6> = [VipKey<Address6>, [u32; 1], u64, Vip];
    Vlan = [u16];
    VlanDevice = [u32, Vlan, u16];
    Backend = [u32, u16, Vlan, [Be32; 4], [u8; 6], [u8; 6], u32, Be16, Mode, u8, u8, u8, u16, [Be32; 4]];
    FlowKey<Address4> = [Address<1>, Address<1>, Be16, Be16, u32];
    FlowKey<Address6> = [Address<4>, Address<4>, Be16, Be16, u32];
    Flow = [u32, u32, Be16, Progress, u32];
    Progress = [u16];
    Reply<Address4> = [FlowKey<Address4>, u32, Progress, Progress];
    Reply<Address6> = [FlowKey<Address6>, u32, Progress, Progress];
    Translation<Address4> = [[FlowKey<Address4>; 2], Reply<Address4>, u32, u32];
    Translation<Address6> = [[FlowKey<Address6>; 2], Reply<Address6>, u32, u32];
    Path<Address4> = [[Address<1>; 2], u32, u32, u32];
    Path<Address6> = [[Address<4>; 2], u32, u32, u32];
    FragmentKey<Address4> = [Address<1>, Address<1>, u32, u32];
    FragmentKey<Address6> = [Address<4>, Address<4>, u32, u32];
    FragmentPorts = [Be16, Be16, u32];
    ServerIdKey = [u32, u32, [u64; 2]];
    Server = [u32, u32];
    Traffic = [u64, u64, u64];
    Budget = [u64];
    Load = [i64, u32, u32];
    Interface = [u32, u32, [u8; 16]];
    Settings = [u64, u32, u32, u32, u32, SourceNat, u32, u32];
    SourceNat = [u16, u16, u32, u32, u32];
    DecapSettings = [u32, u32];
    Prefix<Address4> = [u32, Address<1>];
    Prefix<Address6> = [u32, Address<4>];
    SourceKey<Address4> = [u32, Address<1>];
    SourceKey<Address<2>> = [u32, Address<2>];
}

const _: () = assert!(size_of::<Backend>() == 64 && size_of::<Vip>() == 32);
const _: () = assert!(size_of::<Place<V4>>() == 64 && size_of::<Place<V6>>() == 64);

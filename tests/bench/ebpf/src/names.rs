//! The names by which the driver of the benchmark finds programs, maps and constants: in the program, those of the
//! functions and statics themselves.

/// The program to run, and the same for jumbo frames: each program of this object is there twice, as the product's are,
/// for a tail call between the two forms is refused.
pub type Forms = [&'static str; 2];

/// Makes each packet the first, and calls the program under test.
pub const WRAPPER: Forms = ["wrapper", "wrapper_frags"];

/// Answers `XDP_TX` and does nothing.
pub const TX: Forms = ["tx", "tx_frags"];
/// Answers `XDP_PASS` and does nothing.
pub const PASS: Forms = ["pass", "pass_frags"];
/// Answers `XDP_DROP` and does nothing.
pub const DISCARD: Forms = ["discard", "discard_frags"];
/// Redirects to [`EGRESS`] and does nothing.
pub const REDIRECT: Forms = ["redirect", "redirect_frags"];
/// Finds an IP header, swaps the MAC addresses, answers `XDP_TX`.
pub const SWAP: Forms = ["swap", "swap_frags"];
/// Puts 20 bytes and an Ethernet header before the packet: IPv4.
pub const GROW_20: Forms = ["grow_20", "grow_20_frags"];
/// The same with 28 bytes: UDP in IPv4.
pub const GROW_28: Forms = ["grow_28", "grow_28_frags"];
/// The same with 40 bytes: IPv6.
pub const GROW_40: Forms = ["grow_40", "grow_40_frags"];
/// The same with 48 bytes: UDP in IPv6.
pub const GROW_48: Forms = ["grow_48", "grow_48_frags"];

/// The program under test: an array of programs, of one.
pub const SUBJECT: &str = "SUBJECT";

/// The first bytes of the frame, as [`TEMPLATE_PLACES`] cuts them: a constant.
pub const TEMPLATE: &str = "TEMPLATE";
/// Bytes of the frame: a constant.
pub const LENGTH: &str = "LENGTH";
/// How many flows there are, minus 1, all ones: a constant.
pub const FLOWS: &str = "FLOWS";
/// How many services they are for, minus 1, all ones below 256: a constant.
pub const SERVICES: &str = "SERVICES";
/// The index of the interface that [`REDIRECT`] sends to: a constant.
pub const EGRESS: &str = "EGRESS";
/// Whether the frame holds IPv6: a constant, 0 or 1.
pub const IS_IPV6: &str = "IS_IPV6";

/// Where the words of the template begin in the frame. The second lies over the end of the first, so that from the IP
/// header on no field of a header lies across two words: a load that needs the bytes of two stores waits for both to
/// leave the store buffer, which no packet from a card would do.
pub const TEMPLATE_PLACES: [usize; 10] = [0, 6, 14, 22, 30, 38, 46, 54, 62, 70];

/// Bytes that the template covers, and a frame has at least.
pub const TEMPLATE_LENGTH: usize = 78;

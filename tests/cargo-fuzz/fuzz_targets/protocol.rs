//! Any bytes as lines of the control socket.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _was_taken = lb_tests::input::protocol(bytes);
});

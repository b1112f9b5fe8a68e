//! Any bytes as configurations.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _was_taken = lb_tests::input::config(bytes);
});

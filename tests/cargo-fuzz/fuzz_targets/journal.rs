//! Any bytes as journals of saved states.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _was_taken = lb_tests::input::journal(bytes);
});

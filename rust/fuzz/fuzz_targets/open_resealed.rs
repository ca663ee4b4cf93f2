//! A sound file with some bytes overwritten and its checksums made right again, so that the damage is met where
//! values are used. Input: which sample, then (position, value) pairs of 16 and 8 bits.
#![no_main]

#[path = "../../core/tests/support/mod.rs"]
mod support;

const SAMPLES: [&[u8]; 4] = [
    include_bytes!("../../core/tests/golden/catalog.v1.bin"),
    include_bytes!("../../core/tests/golden/neighbours.v1.bin"),
    include_bytes!("../../core/tests/golden/popularity.v1.bin"),
    include_bytes!("../../core/tests/golden/sessions.v1.bin"),
];

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((sample, edits)) = input.split_first() else {
        return;
    };
    let mut bytes = SAMPLES[*sample as usize % SAMPLES.len()].to_vec();
    for edit in edits.chunks_exact(3) {
        let at = u16::from_le_bytes([edit[0], edit[1]]) as usize % bytes.len();
        bytes[at] = edit[2];
    }
    support::reseal(&mut bytes);
    let Ok(file) = tempfile::NamedTempFile::new() else {
        return;
    };
    if std::fs::write(file.path(), &bytes).is_ok() {
        let used = support::use_everything(file.path());
        if recsys_core::verify(file.path()).is_ok() {
            assert!(used.is_ok(), "verified, and yet its use failed: {used:?}");
        }
    }
});

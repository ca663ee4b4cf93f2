//! Any bytes as a file, as they are and with the checksums made right: opened, used and verified without a crash.
#![no_main]

#[path = "../../core/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut resealed = bytes.to_vec();
    support::reseal(&mut resealed);
    for bytes in [bytes, &resealed] {
        let Ok(file) = tempfile::NamedTempFile::new() else {
            return;
        };
        if std::fs::write(file.path(), bytes).is_ok() {
            // Refusals are what is expected of most bytes; only a crash is a finding.
            let _ = support::use_everything(file.path());
            let _ = recsys_core::verify(file.path());
        }
    }
});

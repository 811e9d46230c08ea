//! What keeps the form of recordings on disk.

/// # Panics
/// When the file of that name has other bytes.
pub(crate) fn keeps(name: &str, file: &[u8]) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, file).expect("the golden file can be written");
    }
    let golden = std::fs::read(&path).unwrap_or_default();
    assert!(
        golden == file,
        "recordings have another form, or the machine another state: run with UPDATE_EXPECT=1; once a \
         release has written recordings, also raise VERSION in engine::replay"
    );
}

//! The one comparison of messages with their golden files, for all test programs of this crate.

use std::fmt::Debug;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Compares with the file, and reads every line back. `UPDATE_EXPECT=1` writes it.
pub(crate) fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    file: &str,
    messages: &[T],
) {
    let mut text = String::new();
    for one in messages {
        let mut bytes = vec![];
        outlast_api::encode(one, &mut bytes);
        assert_eq!(&outlast_api::decode::<T>(&bytes).expect("it was written so"), one);
        text += &(String::from_utf8(bytes).expect("JSON is UTF-8") + "\n");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    expect_test::expect_file![&path].assert_eq(&text);
}

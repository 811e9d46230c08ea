//! What is no message, or one of another version.

use outlast_api::{self as api, Order, ReadError};

#[test]
fn a_message_of_another_version_is_refused_even_when_its_body_is_unknown() {
    for (bytes, version) in [
        (&br#"{"v":0,"msg":"activate"}"#[..], 0),
        (br#"{"v":3,"msg":"activate"}"#, 3),
        (br#"{"v":3,"msg":{"of-tomorrow":[1,2]}}"#, 3),
    ] {
        match api::decode::<Order>(bytes) {
            Err(ReadError::Version(read)) => assert_eq!(read, version),
            other => panic!("{other:?}"),
        }
    }
    let shown = ReadError::Version(3).to_string();
    assert_eq!(shown, "a message has version 3, this program speaks 2");
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    for bytes in [
        &b""[..],
        b"\xff\x00",
        b"null",
        b"[]",
        br#""activate""#,
        br#"{"msg":"activate"}"#,
        br#"{"v":2}"#,
        br#"{"v":-1,"msg":"activate"}"#,
        br#"{"v":"1","msg":"activate"}"#,
        br#"{"v":2,"msg":"activat"#,
        br#"{"v":2,"msg":"of-tomorrow"}"#,
        br#"{"v":2,"msg":"ping"}"#,
        br#"{"v":2,"msg":{"ping":-1}}"#,
        br#"{"v":2,"msg":"activate"} {"v":2,"msg":"drain"}"#,
    ] {
        let read = api::decode::<Order>(bytes);
        let shown = String::from_utf8_lossy(bytes);
        assert!(matches!(read, Err(ReadError::Json(_))), "{shown}: {read:?}");
    }
}

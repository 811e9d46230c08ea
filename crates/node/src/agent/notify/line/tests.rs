use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::thread;

use super::*;

const LIMIT: Duration = Duration::from_millis(400);
/// Longer, and it is no limit.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that does this with the one who comes; where it is.
fn server(does: impl FnOnce(TcpStream) + Send + 'static) -> Place {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        if let Ok((stream, _)) = listener.accept() {
            does(stream);
        }
    });
    Place { host: "127.0.0.1".to_owned(), port }
}

/// A byte now and then, until the other side has gone.
fn drip(mut stream: TcpStream, first: &[u8]) {
    // Nobody says anything: it is a pause.
    let (_keep, never) = mpsc::channel::<()>();
    for byte in first.iter().copied().chain(std::iter::repeat(0)) {
        if stream.write_all(&[byte]).is_err() {
            return;
        }
        let _ = never.recv_timeout(Duration::from_millis(50));
    }
}

/// Of nobody: it is never looked at.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIURAIspqAgqHPgKZ+gT54OKBR5gvMwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEzMDIzMjkxNloYDzIxMjYxMTA2MjMy
OTE2WjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAR9OQDBZthAX+2nQ6tPwMNp47qWZ7QaBAH9gHW13k6UKIeK8xsS4QkPYTOSPtn6
zaVWuJ6AQs3mdUo1lAFFoznwo1MwUTAdBgNVHQ4EFgQU9fUv4164t2HUsegvTt+m
Eva7bLswHwYDVR0jBBgwFoAU9fUv4164t2HUsegvTt+mEva7bLswDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAyxBO0tS+UyA1rIke7IrWuys/sJwB
HamWuByMSDR4JY8CIDR4f550DkzqKzvJ2JgRip/HDghmbojV/BQBzl5CmXVJ
-----END CERTIFICATE-----
";

fn authorities() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("outlast-line-{}.pem", std::process::id()));
    std::fs::write(&path, CERTIFICATE).expect("a file of the test's own");
    path
}

/// Each byte of a handshake that never ends had the whole time once more.
#[test]
fn a_handshake_that_drips_ends_when_the_whole_delivery_has_to() {
    let place = server(|stream| drip(stream, &[22, 3, 3, 64, 0, 2, 0, 63, 252]));
    let began = sys::clock::now();
    let line = Line::open(&place, LIMIT).expect("it takes connections");
    let file = authorities();
    let failed = line.secured(&place, Some(&file)).err().expect("it never ends");
    let took = sys::clock::now().since(began);
    std::fs::remove_file(&file).expect("it was made here");
    assert_eq!(failed, "it does not answer within 400ms");
    assert!((LIMIT..PATIENCE).contains(&took), "{took:?}");
}

#[test]
fn a_reply_that_drips_ends_when_the_whole_delivery_has_to() {
    let place = server(|stream| drip(stream, b"220-"));
    let began = sys::clock::now();
    let mut line = Line::open(&place, LIMIT).expect("it takes connections");
    let failed = loop {
        if let Err(why) = line.read() {
            break why;
        }
    };
    assert_eq!(failed, "it does not answer within 400ms");
    assert!(sys::clock::now().since(began) < PATIENCE);
}

#[test]
fn of_a_flood_so_much_is_read_and_no_more() {
    let place = server(|mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {});
    let mut line = Line::open(&place, Duration::from_secs(20)).expect("it takes connections");
    let mut read = 0;
    let failed = loop {
        match line.read() {
            Ok(bytes) => read += bytes.len(),
            Err(why) => break why,
        }
    };
    assert_eq!((read, failed.as_str()), (MOST_READ, "it says more than 262144 bytes"));
}

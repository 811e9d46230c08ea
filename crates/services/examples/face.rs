//! The dashboard over made-up facts, to look at while one changes it:
//! `cargo run -p outlast-services --example face [PORT] [well|bad|mixed|stale]`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "for the developer's eyes")]
#![expect(unreachable_pub, dead_code, reason = "shared with the tests")]

#[path = "../tests/services/fixture.rs"]
mod fixture;
#[path = "../tests/services/stored.rs"]
mod stored;

use std::time::Duration;

use api::{ServerCheck, Standing};

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let port: u16 = words.get(1).map_or(0, |word| word.parse().unwrap());
    let scene = words.get(2).map_or("well", String::as_str);
    let face = fixture::Face::at(fixture::status(), ([127, 0, 0, 1], port).into(), None);
    println!("http://{}/", face.address);
    // The followers of the timeline must be there before something happens.
    std::thread::sleep(Duration::from_millis(300));
    match scene {
        "bad" => face.happen(
            fixture::event(
                "node01",
                "node-suspect",
                "node/node02",
                "no beat on manager, storage, business for 1.0 s",
                "its servers get no new request",
            ),
            |status| fixture::darken(status, "node02"),
        ),
        "mixed" => face.happen(
            fixture::event(
                "node01",
                "server-down",
                "server/glance_api/node03",
                "Layer4 connection problem, info: \"Connection refused\"",
                "no new request",
            ),
            |status| {
                status.nodes[0].load.as_mut().unwrap().cpu_percent = 98;
                status.nodes[0].load.as_mut().unwrap().memory_percent = 13;
                status.nodes[0].state.cells[0].alive = false;
                status.nodes[0].state.cells[0].age_ms = Some(5000);
                status.nodes[1].load.as_mut().unwrap().memory_percent = 84;
                status.nodes[1].state.cells[2].alive = false;
                status.nodes[1].state.cells[2].age_ms = Some(184_000);
                status.nodes[2].state.standing = Standing::Left;
                status.nodes[2].state.cells.iter_mut().for_each(|cell| cell.alive = false);
                for (at, server) in status.servers.iter_mut().enumerate() {
                    match (server.proxy.as_str(), at % 3) {
                        ("heat_api", _) => server.check = ServerCheck::Down,
                        ("glance_api", 2) | ("nova_api", 1) => server.check = ServerCheck::Down,
                        ("cinder_api", 0) => server.suspect = true,
                        ("horizon", 1) => server.check = ServerCheck::Drain,
                        ("magnum_api", 2) => server.check = ServerCheck::Maintenance,
                        _ => {}
                    }
                }
            },
        ),
        "stale" => {
            std::thread::sleep(Duration::from_secs(2));
            face.kill_agent();
        }
        _ => {}
    }
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

//! Debian's keepalived as judge: in one VRRP group with ours, and of every advert.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "../node/lonely.rs"]
mod lonely;

mod bfd;
mod client;
mod clock;
mod conform;
mod delay;
mod demo;
mod differences;
mod dissect;
mod group;
mod inject;
mod kept_out;
mod matrix;
mod member;
mod osken;
mod row;
mod signed;
mod sync;
mod told;
mod vmac;

/// Whether the programs are here; notes the skip of a test for which one is missing.
fn have(test: &str, programs: &[&str]) -> bool {
    let there = |program: &&&str| {
        ["/usr/sbin", "/usr/bin", "/sbin"]
            .iter()
            .any(|folder| std::path::Path::new(folder).join(program).exists())
    };
    let missing: Vec<&str> = programs.iter().filter(|p| !there(p)).copied().collect();
    if !missing.is_empty() {
        let reason = format!("{} is not installed", missing.join(", "));
        lab::skip::note(&format!("outlast::{test}"), &reason);
    }
    missing.is_empty()
}

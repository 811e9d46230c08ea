//! Machines that speak in the name of a node and are not it: nobody believes them, nobody is accused for them, and the
//! cause is told.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/trio.rs"]
mod trio;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "store/trio.rs"]
mod founded;

#[path = "strangers/another.rs"]
mod another;
#[path = "strangers/clone.rs"]
mod clone;

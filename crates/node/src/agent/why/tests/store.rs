use api::{ProcessState, Role};
use expect_test::expect;

use super::{check_in, status};

#[test]
fn the_store_is_explained_by_leader_majority_lag_and_disk() {
    let mut status = status();
    status.processes.push(ProcessState {
        role: Role::Store,
        pid: 31,
        running: true,
        generation: 2,
        starts: 1,
    });
    let member = |node: &str, votes, has| api::StoreMember { node: node.to_owned(), votes, has };
    status.store = Some(Box::new(api::StoreState {
        leader: Some("node01".to_owned()),
        term: 3,
        last: 90,
        committed: 90,
        applied: 90,
        members: vec![
            member("node01", true, None),
            member("node02", true, Some(88)),
            member("node03", false, Some(90)),
        ],
        ..api::StoreState::default()
    }));
    check_in(
        &status,
        "store",
        expect![[r#"
        process/store: store runs as pid 31
          saw store: pid 31, configuration 2, 1 start (1500 ms ago)
          saw node01 leads the store, term 3 (1500 ms ago)
          saw 2 of 2 make a majority: node01, node02 (1500 ms ago)
          saw node03 is filled up and does not vote yet (1500 ms ago)
          saw node02 is 2 entries behind (1500 ms ago)
          rule one that ended is started again after 10 ms, doubling up to 5 s while lives are short
          then its end costs what waits for this member of the store; addresses stay
    "#]],
    );
    check_in(
        &status,
        "node02",
        expect![[r#"
            node/node02: node02 is alive
              saw last change of its standing: its first beat came
              saw beat: of node02 (120 ms ago)
              saw its machine: cpu 12 %, memory 40 % (120 ms ago)
              saw it votes in the store, 2 entries behind (1500 ms ago)
              rule alive: one beat within the detection time on any network is life (a beat every 100ms, one within 1s)
              of 19 rules alive
              then 880 ms more without a beat on any network make it suspect
              then its goodbye makes it gone at once
        "#]],
    );
    let store = status.store.as_mut().unwrap();
    (store.leader, store.trouble) = (None, Some("waits for node02 (no answer)".to_owned()));
    store.disk = api::StoreDisk::FillsUp { upto: 95 };
    check_in(
        &status,
        "process/store",
        expect![[r#"
            process/store: store runs as pid 31
              saw store: pid 31, configuration 2, 1 start (1500 ms ago)
              saw the store has no leader as seen from here: reads and writes wait (1500 ms ago)
              saw it says: waits for node02 (no answer) (1500 ms ago)
              saw 2 of 2 make a majority: node01, node02 (1500 ms ago)
              saw node03 is filled up and does not vote yet (1500 ms ago)
              saw node02 is 2 entries behind (1500 ms ago)
              saw its disk lacks entries, and does not count until it is filled up to entry 95 (1500 ms ago)
              rule one that ended is started again after 10 ms, doubling up to 5 s while lives are short
              then a leader is elected when 2 of 2 hear each other (all are heard here)
              then its end costs what waits for this member of the store; addresses stay
        "#]],
    );
    check_in(
        &status,
        "node01",
        expect![[r#"
            node/node01: node01 is this node
              saw it holds vip/internal (0 ms ago)
              saw its machine: cpu 12 %, memory 40 % (0 ms ago)
              saw it answers this question
              saw its store: waits for node02 (no answer) (1500 ms ago)
              rule a node that is late itself, has lost its own carriers, or reaches no majority accuses nobody, and doubts nobody anew where no reference point answers it either; what the others think of this one is theirs to say
              then the others suspect it when none of its beats arrives on any network for 1 s
        "#]],
    );
}

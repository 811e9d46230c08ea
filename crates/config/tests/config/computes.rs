//! Nodes with `role = "compute"`: a line each, by the thousand.

use expect_test::expect;

use super::cluster::{check, read};

/// A cluster file with that many controllers, and compute nodes of one line each.
fn crowd(controllers: usize, computes: usize) -> String {
    let mut text = "[cluster]\nname = \"c\"\n[node]\n".to_owned();
    let at = |node: usize| format!("{{ m = \"10.0.{}.{}\" }}", node / 250, node % 250 + 1);
    // Compute nodes first: their place in the file is no matter.
    for node in controllers..controllers + computes {
        let networks = at(node);
        text += &format!("n{node} = {{ role = \"compute\", networks = {networks} }}\n");
    }
    for node in 0..controllers {
        text += &format!("n{node} = {{ networks = {} }}\n", at(node));
    }
    text
}

#[test]
fn controllers_come_before_compute_nodes_wherever_they_stand() {
    let (cluster, findings) =
        read(&(crowd(3, 2_000) + "[vip.v]\naddress = \"10.0.0.251\"\nrouter_id = 7\n"));
    let cluster = cluster.unwrap();
    assert!(!findings.contains("error"), "{findings}");
    assert_eq!((cluster.nodes.len(), cluster.controllers().len()), (2_003, 3));
    let names: Vec<&str> = cluster.nodes[..5].iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["n0", "n1", "n2", "n3", "n4"]);
    assert!(!cluster.is_compute(2) && cluster.is_compute(3) && !cluster.is_compute(2_003));
    assert_eq!(cluster.vips[0].order, [0, 1, 2], "a compute node holds none");
}

#[test]
fn too_many_controllers_and_compute_nodes_in_their_place_are_refused_by_name() {
    let told = |text: &str| read(text).1;
    assert!(told(&crowd(33, 1)).contains("error[too-many-controllers]"));
    assert!(told(&crowd(3, 2_046)).contains("error[too-many-nodes]"));
    assert!(!told(&crowd(32, 2_016)).contains("too-many"));
    check(
        &crowd(0, 1),
        expect![[r#"
            error[no-controller]: all nodes are compute nodes: nobody decides
             --> outlast.toml:1:2
              |
            1 | [cluster]
              |  ^^^^^^^
              = help: leave `role` out in the sections of three nodes

            1 error
        "#]],
    );
    let vip = "[vip.v]\naddress = \"10.0.0.251\"\nrouter_id = 7\norder = [\"n0\", \"n1\"]\n";
    check(
        &(crowd(1, 1) + vip + "[store]\nmembers = [\"n1\"]\n"),
        expect![[r#"
            error[compute-node]: n1 is a compute node: it neither holds this nor votes
             --> outlast.toml:9:16
              |
            9 | order = ["n0", "n1"]
              |                ^^^^
              = help: name controllers here

            error[compute-node]: n1 is a compute node: it neither holds this nor votes
              --> outlast.toml:11:12
               |
            11 | members = ["n1"]
               |            ^^^^
               = help: name controllers here

            2 errors
        "#]],
    );
    check(
        &crowd(1, 1).replace("compute", "guest"),
        expect![[r#"
        error[bad-value]: expected "controller", "voter" or "compute", found "guest"
         --> outlast.toml:4:15
          |
        4 | n1 = { role = "guest", networks = { m = "10.0.0.2" } }
          |               ^^^^^^^
          = help: write `role = "compute"`

        1 error
    "#]],
    );
}

#[test]
fn compute_nodes_share_no_secret_with_controllers_but_on_loopback() {
    let keys =
        |keys: &str| crowd(1, 1).replace("name = \"c\"\n", &format!("name = \"c\"\n{keys}\n"));
    check(
        &keys("secret_file = \"s\""),
        expect![[r#"
            error[shared-secret]: with a secret that all nodes share, n1 could speak for a controller
             --> outlast.toml:5:1
              |
            5 | n1 = { role = "compute", networks = { m = "10.0.0.2" } }
              | ^^
              = help: write `trust_dir = "/var/lib/outlast/trust"` in place of `secret_file`, after `outlast init` and `join`

            1 error
        "#]],
    );
    let told = |text: &str| read(text).1;
    assert!(!told(&keys("secret_file = \"s\"\ntrust_dir = \"t\"")).contains("shared-secret"));
    assert!(!told(&keys("trust_dir = \"t\"")).contains("shared-secret"));
    assert!(
        !told(&crowd(3, 0).replace("name = ", "secret_file = \"s\"\nname = ")).contains("error")
    );
    let local = keys("secret_file = \"s\"").replace("10.0.", "127.0.");
    assert!(!told(&local).contains("shared-secret"), "{}", told(&local));
}

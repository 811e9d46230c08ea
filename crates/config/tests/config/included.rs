//! Files in keepalived's language that others include, and what is read on one node only.

use outlast_config::keepalived::{Node, flattened};
use outlast_config::{Around, Loaded, Source, effective_vips, load_with, place, refused, render};

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

fn on(id: &str, files: &[(&str, &str)]) -> Loaded {
    let sources = files.iter().map(|(path, text)| source(path, text)).collect();
    let node = Node { id: Some(id), ..Node::default() };
    load_with(sources, Around { node, ..Around::default() })
}

const MAIN: &str = "global_defs {\n @one router_id first\n}\n$VRID=51\ninclude conf.d/*.conf\n";
const PART: &str = "vrrp_instance a {\n interface eth0\n virtual_router_id $VRID\n nopreempt\n @one priority 150\n \
                    @^one priority 100\n virtual_ipaddress {\n include ../ips\n }\n}\n";

#[test]
fn files_and_their_conditions_become_the_virtual_ips_of_one_node() {
    let files = [("e/k.conf", MAIN), ("e/conf.d/a.conf", PART), ("e/conf.d/../ips", "10.0.0.9\n")];
    for (id, priority) in [("one", 150), ("two", 100)] {
        let loaded = on(id, &files);
        assert_eq!(render(&loaded.sources, &loaded.diagnostics), "", "{id}");
        let read = loaded.keepalived.as_ref();
        let vips = effective_vips(None, read, None, false, &|_| None).unwrap();
        assert_eq!((vips[0].priority, vips[0].router_id), (priority, 51), "{id}");
        assert_eq!(vips[0].addresses[0].ip.to_string(), "10.0.0.9");
        // Whoever gets one text gets all of it.
        let node = Node { id: Some(id), ..Node::default() };
        let text = flattened(&loaded.sources, 0, node).unwrap();
        let flat = on("nobody", &[("e/k.conf", text.as_str())]);
        let again = effective_vips(None, flat.keepalived.as_ref(), None, false, &|_| None);
        assert_eq!(again.unwrap(), vips);
        assert_eq!(flattened(&flat.sources, 0, node), None, "it is what it says");
    }
}

#[test]
fn a_mistake_in_an_included_file_has_its_place_there() {
    let part = PART.replace("interface eth0", "interfase eth0");
    let files =
        [("e/k.conf", MAIN), ("e/conf.d/a.conf", &part), ("e/conf.d/../ips", "10.0.0.9\nx\n")];
    let loaded = on("one", &files);
    let told: Vec<String> = loaded
        .diagnostics
        .iter()
        .map(|found| {
            let source = &loaded.sources[found.file];
            let place = place(&source.text, found.span.start);
            format!("{}:{}:{} {}", source.path, place.line, place.column, found.message)
        })
        .collect();
    let expected = [
        "e/conf.d/a.conf:1:15 instance `a` has no interface",
        "e/conf.d/a.conf:2:2 `interfase` is no keyword of `vrrp_instance`",
        "e/conf.d/../ips:2:1 expected an IP address like 10.0.0.40/24, found `x`",
    ];
    assert_eq!(told, expected);
    assert!(refused(&loaded).unwrap().first.starts_with("e/conf.d/a.conf:1: "));
}

#[test]
fn a_file_that_is_included_is_no_second_one() {
    let files =
        [("b.conf", PART), ("k.conf", "$VRID=1\ninclude b.conf\n"), ("../ips", "10.0.0.9\n")];
    let loaded = on("one", &files);
    assert_eq!(render(&loaded.sources, &loaded.diagnostics), "");
    assert_eq!((loaded.keepalived_file, loaded.keepalived.unwrap().instances.len()), (1, 1));
}

#[test]
fn a_secret_in_a_parameter_is_hidden_as_any_other() {
    let text = "$AUTH_PASS=sesame and more\n$VRRP_SECRET=open \\\nvrrp_instance a {\n}\n";
    let shown = outlast_config::masked(text);
    assert!(!shown.contains("sesame") && !shown.contains("open"), "{shown}");
}

#[test]
fn an_included_file_that_must_be_there_is_told_apart_from_mistakes() {
    let missing = on("one", &[("k.conf", "includea none\nvrrp_instance a {\n}\n")]);
    assert!(refused(&missing).unwrap().lacks_included);
    let wrong = on("one", &[("k.conf", "vrrp_instance a {\n}\n")]);
    assert!(!refused(&wrong).unwrap().lacks_included);
}

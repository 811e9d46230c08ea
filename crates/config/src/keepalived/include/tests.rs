use std::cell::RefCell;

use super::*;

#[test]
fn a_path_with_braces_stands_for_several() {
    let rows: [(&str, &[&str]); 6] = [
        ("a", &["a"]),
        ("{foo/{,cat,dog},bar}", &["foo/", "foo/cat", "foo/dog", "bar"]),
        ("a{b,c}d{e,f}", &["abde", "abdf", "acde", "acdf"]),
        ("a{}", &["a{}"]),
        ("a{b", &["a{b"]),
        (r"a\{b,c}", &[r"a\{b,c}"]),
    ];
    for (pattern, expected) in rows {
        assert_eq!(alternatives(pattern), expected, "{pattern}");
    }
    assert!(alternatives(&"{a,b}".repeat(40)).len() <= MAX_ALTERNATIVES);
}

#[test]
fn a_name_fits_as_for_a_shell() {
    let rows = [
        ("*.conf", "a.conf", true),
        ("*.conf", ".a.conf", false),
        (".*", ".a", true),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("[a-c]1", "b1", true),
        ("[!a-c]1", "b1", false),
        ("[]x]", "]", true),
        ("*a*b*c", "xaybzc", true),
        ("*a*b*c", "xaybz", false),
        (r"\*", "*", true),
        (r"\*", "a", false),
        ("[", "[", true),
        ("*", "", true),
    ];
    for (part, name, does) in rows {
        assert_eq!(name_fits(part, name), does, "{part} {name}");
    }
    assert!(fits("./a/*.c", "a/b.c") && !fits("a/*.c", "a/b/d.c") && !fits("/a/b", "a/b"));
}

/// A disk with these paths; it remembers what was asked for.
struct Paths(&'static [(&'static str, &'static str)], RefCell<Vec<String>>);

impl Disk for Paths {
    type Error = String;

    fn names(&self, folder: &str) -> Vec<String> {
        let below = |path: &&str| {
            let rest = if folder == "." { path } else { path.strip_prefix(folder)? };
            rest.trim_start_matches('/').split('/').next().map(str::to_owned)
        };
        self.0.iter().filter_map(|(path, _)| below(path)).collect()
    }

    fn read(&self, path: &str) -> Result<Option<Source>, String> {
        self.1.borrow_mut().push(path.to_owned());
        if path.ends_with("broken") {
            return Err(format!("{path} is broken"));
        }
        let found = self.0.iter().find(|(known, _)| *known == path);
        Ok(found.map(|(path, text)| Source { path: (*path).to_owned(), text: (*text).to_owned() }))
    }
}

#[test]
fn what_is_included_is_read_once_and_what_cannot_be_read_is_told() {
    let disk = Paths(
        &[
            ("/etc/k/conf.d/b.conf", "include ../x\n"),
            ("/etc/k/conf.d/a.conf", "@me include y\n@you include z\n"),
            ("/etc/k/conf.d/../x", ""),
            ("/etc/k/conf.d/y", ""),
            ("/etc/k/conf.d/z", ""),
        ],
        RefCell::default(),
    );
    let text = "$D=conf.d\ninclude ${D}/*.conf\ninclude conf.d/{a,c}.conf\ninclude broken\nvrrp_instance a {\n}\n";
    let main = Source { path: "/etc/k/k.conf".to_owned(), text: text.to_owned() };
    let node = Node { id: Some("me"), ..Node::default() };
    let (sources, errors) = with_included(vec![main], node, &disk);
    let paths: Vec<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    let expected = [
        "/etc/k/k.conf",
        "/etc/k/conf.d/a.conf",
        "/etc/k/conf.d/b.conf",
        "/etc/k/conf.d/y",
        "/etc/k/conf.d/../x",
    ];
    assert_eq!(paths, expected);
    assert_eq!(errors, ["/etc/k/broken is broken"]);
    assert_eq!(disk.1.borrow().iter().filter(|path| path.ends_with("a.conf")).count(), 1);
}

use super::*;
use crate::keepalived::AtHand;
use crate::keepalived::words::statements;

const NODE: Node<'_> = Node { id: Some("main"), folder: Some("/home"), needs_all: false };

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

/// The lines that are read, then what was wrong.
fn read(files: &[Source], node: Node<'_>) -> Vec<String> {
    let mut at_hand = AtHand { sources: files, main: 0, taken: Vec::new() };
    let mut findings = Vec::new();
    let made = expand(&mut at_hand, 0, node, &mut findings);
    let told = findings.into_iter().map(|finding| {
        let (file, span) = at_hand.locate(finding.span);
        let place = crate::place(&files[file].text, span.start);
        format!("{}:{}:{} {}", files[file].path, place.line, place.column, finding.message)
    });
    let lines = made.lines.iter().map(Piece::whole);
    lines.chain(told).collect()
}

fn lines(text: &str) -> Vec<String> {
    read(&[source("/etc/keepalived/keepalived.conf", text)], NODE)
}

#[test]
fn a_line_of_another_node_is_not_read() {
    let text = "@main a 1\n@backup a 2\n  @^main a 3\n@^backup\ta 4 # x\n@main\nb\n";
    assert_eq!(lines(text), ["a 1", "a 4", "b"]);
    let nobody = Node::default();
    assert_eq!(read(&[source("k", text)], nobody), ["a 3", "a 4", "b"]);
}

#[test]
fn a_parameter_has_the_value_of_its_last_line_and_names_in_it_have_theirs() {
    let text = "$ADDRESS_BASE=10.2.${ADDRESS_BASE_SUB}\n$ADDRESS_BASE_SUB=0\n${ADDRESS_BASE}.100/32\n\
                $ADDRESS_BASE_SUB=10\n${ADDRESS_BASE}.100/32\n";
    assert_eq!(lines(text), ["10.2.0.100/32", "10.2.10.100/32"]);
    assert_eq!(lines("@main $P=240\n@backup $P=200\npriority $P\n"), ["priority 240"]);
    assert_eq!(lines("$IF=@main\n$IF priority 240\n$IF=@other\n$IF b\n"), ["priority 240"]);
    assert_eq!(lines("$E=\na${E}b $E\n"), ["ab"]);
}

#[test]
fn what_is_no_parameter_stays_as_it_is() {
    let rows = [
        ("a $B c", "a $B c"),
        ("$A=1\na$Ab ${A}b $A, ($A) x$A", "a$Ab 1b 1, (1) x1"),
        ("$A=1\n${A x} ${A 1} $ $1 ${", "${A x} ${A 1} $ $1 ${"),
        ("$1=2\n", "$1=2"),
        ("$A =2\n", "$A =2"),
    ];
    for (text, line) in rows {
        assert_eq!(lines(text), [line], "{text}");
    }
}

#[test]
fn a_value_of_several_lines_is_put_at_the_end_of_a_line_only() {
    let text = "$I= \\\nvrrp_instance V${N} { \\\n  @main priority 1 \\\n @other priority 2 \\\n }\n\
                $N=7\n$I\n$N=8\nx $I\n$I y\n";
    let expected = [
        "vrrp_instance V7 {",
        "priority 1",
        "}",
        "x vrrp_instance V8 {",
        "priority 1",
        "}",
        "$I y",
    ];
    assert_eq!(lines(text), expected);
}

#[test]
fn values_of_several_lines_may_have_others_in_them() {
    let text = "$RS= \\\nreal ${V}.${R} \\\nend\n$VS= \\\nvirtual ${V} \\\n$R=1 \\\n$RS \\\n$R=2 \\\n$RS \\\ndone\n\
                $V=4\n$VS\nlast\n";
    let expected = ["virtual 4", "real 4.1", "end", "real 4.2", "end", "done", "last"];
    assert_eq!(lines(text), expected);
}

#[test]
fn an_empty_line_ends_a_value() {
    assert_eq!(lines("$A= \\\nb \\\n\nc\n$A\n"), ["c", "b"]);
    assert_eq!(lines("$A= \\\n\nc\nx${A}y\n"), ["c", "xy"]);
}

#[test]
fn names_of_their_own_stand_for_what_they_say() {
    let text = "a \"${_PWD}/x\" ${_INSTANCE}\nb \"${_HASH}\" ${_BANG} c\n";
    assert_eq!(lines(text), ["a \"/etc/keepalived/x\" main", "b \"#\""]);
    assert_eq!(read(&[source("conf/k", "a $_PWD")], NODE), ["a /home/conf"]);
    assert_eq!(read(&[source("k", "a $_PWD")], NODE), ["a /home"]);
    assert_eq!(lines("$_INSTANCE=x\n$_INSTANCE\n"), ["x"]);
    let dice = "a ${_RANDOM 1 6}\n".repeat(50);
    let thrown = lines(&dice);
    assert_eq!(thrown, lines(&dice), "nothing changes at a reload");
    let known = ["a 1", "a 2", "a 3", "a 4", "a 5", "a 6"];
    assert!(thrown.iter().all(|line| known.contains(&line.as_str())), "{thrown:?}");
    assert!(known.iter().all(|line| thrown.iter().any(|thrown| thrown == line)), "{thrown:?}");
}

#[test]
fn a_sequence_is_written_out_number_by_number() {
    let rows: [(&str, &[&str]); 7] = [
        ("~SEQ(S, 0, 3) a.${S}.1", &["a.0.1", "a.1.1", "a.2.1", "a.3.1"]),
        ("~SEQx(S, 144, 16, 192) a:${S}", &["a:90", "a:a0", "a:b0", "a:c0"]),
        (
            "~SEQx(A, 0x90, 0x10, 0xa0) ~SEQx(B, 0x12, -1, 0x11) a:$A b:$B",
            &["a:90 b:12", "a:90 b:11", "a:a0 b:12", "a:a0 b:11"],
        ),
        ("~SEQ(S, 2) a $S", &["a 1", "a 2"]),
        ("~SEQ(S, -2) a $S", &["a -1", "a -2"]),
        ("$END=3\n~SEQ(S, 2, $END) a $S", &["a 2", "a 3"]),
        ("$I= \\\ni ${S} \\\n}\n~SEQ(S, 1, 2) $I", &["i 1", "}", "i 2", "}"]),
    ];
    for (text, expected) in rows {
        assert_eq!(lines(text), expected, "{text}");
    }
}

#[test]
fn a_list_is_written_out_value_by_value() {
    let rows: [(&str, &[&str]); 4] = [
        ("~LST({A, B}, {10,1},{20}) x.${A}.${B}", &["x.10.1", "x.20."]),
        ("~LST(A, 1, 2) ~LST(B, 5,6) ${A}.$B", &["1.5", "1.6", "2.5", "2.6"]),
        ("~LST(A, eth0) ~SEQ(B, 168, 2, 170) $A $B", &["eth0 168", "eth0 170"]),
        ("~LST(A, x) @main $A", &["x"]),
    ];
    for (text, expected) in rows {
        assert_eq!(lines(text), expected, "{text}");
    }
}

#[test]
fn a_mistake_in_a_sequence_or_list_is_told_with_its_place() {
    let rows = [
        ("~SEQ(S, 3, 1, 0) a", "this sequence never comes to its end"),
        ("~SEQ(S, 0, 1, 10000000) a", "this sequence is too long"),
        ("~SEQ S a", "expected `(`, what is repeated for, and `)`"),
        ("~SEQ(S, a) b", "expected numbers behind the name"),
        ("~SEQ(S, 0x-5) b", "expected numbers behind the name"),
        ("~SEQ(S, -0x-8000000000000000) b", "expected numbers behind the name"),
        ("~SEQx(S, -1, 1) b", "numbers below 0 are not written as hexadecimal ones"),
        ("~LST(A) b", "values are missing"),
        ("~LST(A, {1, 2}) b", "there are more values than names"),
        ("~LST({A}{1}) b", "expected `,`"),
    ];
    for (text, message) in rows {
        let told = lines(&format!("x\n  {text}\n"));
        let place = "/etc/keepalived/keepalived.conf:2:3";
        assert_eq!(told, ["x".to_owned(), format!("{place} {message}")], "{text}");
    }
}

#[test]
fn what_has_no_end_is_told_and_nothing_more_is_read() {
    let rows = [
        "$A=$A\na $A\n",
        "$A=${A}${A}\na ${A}\n",
        "$A=x \\\n$A\n$A\n",
        "$A=~SEQ(B, 1, 9) ~SEQ(C, 1, 9) $A\n$A\n",
        "include k\n",
        "~SEQ(A, 1, 60000) ~SEQ(B, 1, 60000) c\n",
        // Lines for another node, and no line at all.
        "~SEQ(A, 1, 60000) ~SEQ(B, 1, 60000) @other c\n",
        "~SEQ(A, 1, 60000) ~SEQ(B, 1, 60000)\n",
        "~SEQ(A, 1, 60000) ~LST(B, 1, 2, 3, 4, 5, 6) ~SEQ(C, 1, 60000) @other c\n",
    ];
    for text in rows {
        let told = read(&[source("k", text)], NODE);
        let last = told.last().unwrap();
        assert!(last.starts_with("k:"), "{text}: {last}");
        assert!(told.len() <= MAX_LINES + 1, "{text}");
    }
}

#[test]
fn other_files_are_read_where_they_are_named_from_the_folder_of_who_names_them() {
    let files = [
        source("etc/k.conf", "$A=1\na {\ninclude conf.d/*.conf\n}\ninclude /x/y\n$B\n"),
        source("etc/conf.d/2.conf", "two $A\n"),
        source("etc/conf.d/1.conf", "one # x\ninclude more\n"),
        source("etc/conf.d/more", "$B=back\nmore\n"),
        source("etc/conf.d/.hidden.conf", "hidden\n"),
    ];
    let expected =
        ["a {", "one", "more", "two 1", "}", "back", "etc/k.conf:5:9 there is no file /x/y"];
    assert_eq!(read(&files, NODE), expected);
}

#[test]
fn a_place_is_that_of_the_file_that_it_stands_in() {
    let files = [source("k", "include b\na $X\n"), source("b", "$X=1\n\n  first second\n")];
    let mut at_hand = AtHand { sources: &files, main: 0, taken: Vec::new() };
    let made = expand(&mut at_hand, 0, NODE, &mut Vec::new());
    let statements = statements(&made.lines, &mut Vec::new());
    let place = |statement: usize, word: usize| {
        let (file, span) = at_hand.locate(statements[statement].words[word].span);
        (files[file].path.as_str(), &files[file].text[span.start..span.end])
    };
    assert_eq!(place(0, 1), ("b", "second"));
    assert_eq!(place(1, 0), ("k", "a"));
    assert_eq!(place(1, 1), ("k", "$X"), "what is said of a value is said of its name");
}

#[test]
fn whoever_includes_says_what_must_be_there() {
    let rows = [
        ("include none", "W there is no file none"),
        ("includer none", "W there is no file none"),
        ("includem none", "E there is no file none"),
        ("includew none", "E there is no file none"),
        ("includea none", "E there is no file none"),
        ("includeb none", "W there is no file none"),
        ("include *.x", ""),
        ("includem *.x", ""),
        ("includew *.x", "E no file is named *.x"),
        ("include {b,none}", "W there is no file none"),
        ("includem {b,none}", "W there is no file none"),
        ("includeb {b,none}", "E there is no file none"),
        ("include_check\ninclude none", "E there is no file none"),
        ("include_check match\ninclude none", "E there is no file none"),
        ("include_check\ninclude_check -match\ninclude none", "W there is no file none"),
        ("include_check match\ninclude *.x", ""),
        ("include_check sometimes", "E expected read, match, wildcard_match or brace_match"),
    ];
    for (text, expected) in rows {
        let files = [source("k", text), source("b", "")];
        let mut at_hand = AtHand { sources: &files, main: 0, taken: Vec::new() };
        let mut findings = Vec::new();
        expand(&mut at_hand, 0, NODE, &mut findings);
        let told = findings.iter().map(|finding| {
            let grave = if finding.severity == crate::Severity::Error { "E" } else { "W" };
            format!("{grave} {}", finding.message)
        });
        assert_eq!(told.collect::<Vec<_>>().join("; "), expected, "{text}");
    }
    let all = Node { needs_all: true, ..NODE };
    assert_eq!(read(&[source("k", "include none")], all), ["k:1:9 there is no file none"]);
}

//! In what ours does something else than keepalived 2.2.7 with an advert, on purpose: all of it, each with its reason.
//! `docs/operate/judges.md` has the same list.

/// One kind of advert with which ours does something else.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Difference {
    /// As on the page.
    pub(crate) advert: &'static str,
    pub(crate) theirs: &'static str,
    pub(crate) ours: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) static ANOTHER_LIST: Difference = Difference {
    advert: "other addresses than configured, more or less or none of them",
    theirs: "ignores",
    ours: "obeys, counted",
    reason: "one line forgotten in one file is no reason for two holders; 2.4 obeys, too",
};

pub(crate) static NOT_LISTED: Difference = Difference {
    advert: "unicast from a router that is not listed",
    theirs: "obeys without `check_unicast_src`",
    ours: "ignores",
    reason: "anybody on the network could depose the holder",
};

pub(crate) static FORWARDED: Difference = Difference {
    advert: "unicast over IPv4 from a listed router, forwarded by another one (TTL below 255)",
    theirs: "obeys",
    ours: "ignores unless every advert is signed",
    reason: "anybody anywhere could write the listed address and depose the holder; with `auth_hmac` only who has the key",
};

pub(crate) static MESSAGE_ALONE: Difference = Difference {
    advert: "version 3 over IPv4 with the checksum over the message alone",
    theirs: "ignores",
    ours: "obeys",
    reason: "RFC 9568 and some vendors; 2.4 takes both with `v3_checksum_as_v2`",
};

const ALL: [&Difference; 4] = [&ANOTHER_LIST, &NOT_LISTED, &FORWARDED, &MESSAGE_ALONE];

#[test]
fn every_difference_from_keepalived_is_on_the_page() {
    let page = include_str!("../../../../docs/operate/judges.md");
    let table = page.split("| advert | keepalived 2.2 |").nth(1).expect("the page has the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let row = |Difference { advert, theirs, ours, reason }: &&Difference| {
        format!("| {advert} | {theirs} | {ours} | {reason} |")
    };
    assert_eq!(rows.collect::<Vec<_>>(), ALL.iter().map(row).collect::<Vec<_>>());
}

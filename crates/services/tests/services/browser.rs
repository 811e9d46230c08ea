//! The pages in a real browser.

use std::time::Duration;

use serde_json::json;

use crate::fixture::{Face, darken, event, status};
use crate::webdriver::Browser;
use crate::{skip, until};

const PAGES: [&str; 7] =
    ["/", "/cluster", "/nodes", "/events", "/vip/internal", "/pool/mariadb", "/node/node02"];

fn browser(test: &str) -> Option<Browser> {
    let browser = Browser::start();
    if browser.is_none() {
        skip(test, "no chromium or no chromedriver");
    }
    browser
}

fn url(face: &Face, path: &str) -> String {
    format!("http://{}{path}", face.address)
}

/// Text of one element, as it is shown.
fn shown(browser: &Browser, selector: &str) -> String {
    let body = format!(
        "const element = document.querySelector({selector:?}); return element ? element.innerText : ''"
    );
    browser.script(&body).as_str().unwrap_or_default().to_owned()
}

fn wait_until_live(browser: &Browser) {
    until("the page is live", || shown(browser, "#pulse").contains("live"));
}

#[test]
fn a_change_turns_the_right_cell_and_nothing_else_in_a_browser() {
    let Some(browser) = browser("a_change_turns_the_right_cell_and_nothing_else_in_a_browser")
    else {
        return;
    };
    let face = Face::new(status());
    browser.open(&url(&face, "/"));
    wait_until_live(&browser);
    assert_eq!(browser.title(), "✓ All well · overview");
    // The very elements stay: what a user selected, focused or is being read is not lost.
    browser.script(
        "document.querySelector('#node-node03').mine = 1; \
         document.querySelector('#pool-mariadb').focus(); \
         window.cells = []; const cell = document.querySelector('#node-node02 td:nth-of-type(4)'); \
         new MutationObserver(() => { const text = document.querySelector('#node-node02').innerText; \
           if (text.includes('silent') && !window.turned) window.turned = performance.now(); }) \
           .observe(document.body, {subtree: true, childList: true, characterData: true});",
    );
    let begin = sys::clock::now();
    let told = event("node01", "node-suspect", "node/node02", "no beat on any network", "");
    face.happen(told, |status| darken(status, "node02"));
    // A time without a fraction comes as an integer.
    until("the cell turns", || browser.script("return window.turned || null").is_number());
    let took = sys::clock::now().since(begin);
    eprintln!("from the event to the cell in the browser: at most {} ms", took.as_millis());
    assert!(took < Duration::from_secs(5), "{took:?}");
    let cell = shown(&browser, "#node-node02 td[data-label=\"storage network\"]");
    assert!(cell.contains("✗ silent"), "{cell}");
    let other = shown(&browser, "#node-node03 td[data-label=\"storage network\"]");
    assert!(other.contains("✓ ok"), "{other}");
    assert!(shown(&browser, "#state").contains("node02 is silent on every network"));
    until("the event explains it", || {
        let newest = shown(&browser, "#events li");
        newest.contains("node-suspect") && newest.contains("no beat on any network")
    });
    until("the title follows", || {
        browser.title() == "✗ node02 is silent on every network · overview"
    });
    assert_eq!(browser.script("return document.querySelector('#node-node03').mine"), json!(1));
    assert_eq!(browser.script("return document.activeElement.id"), json!("pool-mariadb"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_dead_agent_and_then_a_dead_dashboard_turn_the_page_stale() {
    let Some(browser) = browser("a_dead_agent_and_then_a_dead_dashboard_turn_the_page_stale")
    else {
        return;
    };
    let mut face = Face::new(status());
    browser.open(&url(&face, "/"));
    wait_until_live(&browser);
    face.kill_agent();
    until("the page is stale", || {
        shown(&browser, "#state").contains("No news from the agent of node01 for")
    });
    let opacity = "return getComputedStyle(document.querySelector('main')).opacity";
    assert_ne!(browser.script(opacity), json!("1"), "old facts are dimmed");
    assert!(shown(&browser, "#nodes").contains("node03"), "and kept");
    let first = shown(&browser, "#state .line");
    until("its age grows", || shown(&browser, "#state .line") != first);
    until("the title says it", || browser.title().starts_with("? No news"));
    face.tell(|story| story.is_answering = true);
    until("it is well again", || shown(&browser, "#state").contains("All well"));
    // Now the process behind the page goes away.
    drop(face.supervisor.take());
    face.thread.take().unwrap().join().unwrap().unwrap();
    until("the silence is told", || shown(&browser, "#lost").contains("has been silent for"));
    assert_eq!(shown(&browser, "#pulse"), "not live");
    let first = shown(&browser, "#lost");
    until("and counted", || shown(&browser, "#lost") != first);
}

#[test]
fn no_page_breaks_its_own_policy_or_is_wider_than_a_phone() {
    let Some(browser) = browser("no_page_breaks_its_own_policy_or_is_wider_than_a_phone") else {
        return;
    };
    let mut status = status();
    darken(&mut status, "node02");
    status.servers[1].why = "a very long reason without any blank ".repeat(9) + &"x".repeat(300);
    let face = Face::new(status);
    for (width, height) in [(1600, 1000), (360, 780)] {
        browser.resize(width, height);
        for page in PAGES {
            browser.open(&url(&face, page));
            wait_until_live(&browser);
            let wide = browser.script("return document.documentElement.scrollWidth");
            assert!(wide.as_u64().unwrap() <= u64::from(width), "{page} at {width}: {wide}");
            assert_eq!(browser.complaints(), Vec::<String>::new(), "{page} at {width}");
        }
    }
    // And a page that did break it would be noticed.
    browser.script(
        "document.head.append(Object.assign(document.createElement('style'), \
                    {textContent: 'p { color: red }'}))",
    );
    let complaints = browser.complaints().join(" ");
    assert!(complaints.contains("Content Security Policy"), "{complaints}");
}

#[test]
fn the_page_of_a_virtual_ip_is_dark_or_light_as_the_browser_is_and_fits_a_phone() {
    let Some(browser) =
        browser("the_page_of_a_virtual_ip_is_dark_or_light_as_the_browser_is_and_fits_a_phone")
    else {
        return;
    };
    let face = Face::new(status());
    browser.resize(360, 780);
    let mut inks = vec![];
    for scheme in ["dark", "light"] {
        browser.prefers(scheme);
        browser.open(&url(&face, "/vip/internal"));
        wait_until_live(&browser);
        let ink = browser.script("return getComputedStyle(document.body).color");
        inks.push(ink.to_string());
        let wide = browser.script("return document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= 360, "{scheme}: {wide}");
        let told = shown(&browser, "#told");
        for part in ["Who was told", "node03 tells", "tried 3×", "✓"] {
            assert!(told.contains(part), "{part} is missing: {told}");
        }
    }
    assert_ne!(inks[0], inks[1]);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn everything_is_reached_by_keys_and_the_focus_is_seen() {
    let Some(browser) = browser("everything_is_reached_by_keys_and_the_focus_is_seen") else {
        return;
    };
    let face = Face::new(status());
    browser.open(&url(&face, "/"));
    wait_until_live(&browser);
    let focused = |what: &str| {
        browser.script(&format!("const element = document.activeElement; return {what}"))
    };
    browser.press("\u{E004}");
    assert_eq!(focused("element.className"), json!("skip"), "Tab comes to the skip link first");
    assert_eq!(focused("element.getBoundingClientRect().left >= 0"), json!(true), "and shows it");
    assert_eq!(focused("getComputedStyle(element).outlineStyle"), json!("solid"));
    browser.press("\u{E007}");
    until("Enter goes to the content", || focused("element.id") == json!("main"));
    browser.press("j");
    let first = focused("element.href");
    assert!(first.as_str().unwrap().contains("/node/node01"), "{first}");
    assert_eq!(focused("getComputedStyle(element).outlineStyle"), json!("solid"));
    browser.press("j");
    browser.press("k");
    assert_eq!(focused("element.href"), first);
    browser.press("/");
    assert_eq!(focused("element.id"), json!("find"));
    for key in ["m", "a", "r", "i"] {
        browser.press(key);
    }
    let left = "[...document.querySelectorAll('.pool:not(.sifted)')].map((pool) => pool.id)";
    assert_eq!(focused(left), json!(["pool-mariadb"]));
    browser.press("\u{E007}");
    until("Enter opens it", || {
        browser.script("return location.pathname") == json!("/pool/mariadb")
    });
    wait_until_live(&browser);
    browser.press("o");
    until("o leads back", || browser.script("return location.pathname") == json!("/"));
}

//! `option httpchk`, `option mysql-check`, `http-check`: what a check asks and expects.

use super::proxy::{Chosen, Draft};
use super::{HttpCheck, MysqlCheck};
use crate::diagnostic::Diagnostic;
use crate::line::{Line, Word};

pub(crate) fn http_defaults() -> HttpCheck {
    HttpCheck {
        method: "OPTIONS".to_owned(),
        uri: "/".to_owned(),
        version: "HTTP/1.0".to_owned(),
        headers: Vec::new(),
        body: String::new(),
        expect_status: Vec::new(),
    }
}

/// `option httpchk [[METHOD] URI [VERSION]]`
pub(crate) fn http(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    draft.chosen_check = Chosen::Http;
    let check = &mut draft.http_check;
    let words = [line.take(), line.take(), line.take()];
    match words {
        [None, ..] => {}
        [Some(uri), None, _] => check.uri = uri.text,
        [Some(method), Some(uri), version] => {
            check.method = method.text;
            check.uri = uri.text;
            if let Some(version) = version {
                add_headers_of(version, check, line);
            }
        }
    }
    line.finish();
    Ok(())
}

/// Old files put headers behind the version: `HTTP/1.1\r\nHost:\ www`.
fn add_headers_of(version: Word, check: &mut HttpCheck, line: &mut Line<'_>) {
    let mut parts = version.text.split("\r\n");
    check.version = parts.next().unwrap_or_default().to_owned();
    let rest: Vec<&str> = parts.collect();
    if rest.is_empty() {
        return;
    }
    let message = "headers behind the version are an old habit";
    line.report(
        Diagnostic::warning(version.span, "old-style", message)
            .help("write `http-check send hdr <name> <value>`"),
    );
    for header in rest {
        if let Some((name, value)) = header.split_once(':') {
            check.headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
}

/// `http-check send [meth M] [uri U] [ver V] [hdr NAME VALUE]* [body B]`
pub(crate) fn send(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let check = &mut draft.http_check;
    while let Some(word) = line.take() {
        match word.text.as_str() {
            "meth" => check.method = line.expect("a method")?.text,
            "uri" => check.uri = line.expect("a URI")?.text,
            "ver" => check.version = line.expect("a version like HTTP/1.1")?.text,
            "hdr" => {
                let name = line.expect("the name of a header")?.text;
                let value = line.expect("the value of the header")?.text;
                check.headers.push((name, value));
            }
            "body" => check.body = line.expect("the body")?.text,
            "uri-lf" | "body-lf" => {
                let what = format!("`{}` of `http-check send`", word.text);
                line.report(Diagnostic::not_yet(word.span, what));
                line.expect("a log format")?;
            }
            "comment" => {
                line.expect("a comment")?;
            }
            _ => return Err(word.wrong("meth, uri, uri-lf, ver, hdr, body, body-lf or comment")),
        }
    }
    Ok(())
}

/// `http-check expect [!] status CODES`, with ranges in CODES.
pub(crate) fn expect(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let mut runs = true;
    let options = [
        "comment",
        "ok-status",
        "error-status",
        "tout-status",
        "on-success",
        "on-error",
        "status-code",
        "min-recv",
    ];
    while let Some(word) = line.peek().cloned() {
        if !options.contains(&word.text.as_str()) {
            break;
        }
        line.take();
        line.expect(&format!("the value of `{}`", word.text))?;
        if word.text != "comment" {
            let what = format!("`{}` of `http-check expect`", word.text);
            line.report(Diagnostic::not_yet(word.span, what));
            runs = false;
        }
    }
    let negated = line.look(0) == Some("!");
    if negated {
        line.report(Diagnostic::not_yet(line.span(), "`http-check expect !`"));
        line.take();
    }
    let kind = line.expect("status")?;
    match kind.text.as_str() {
        "status" => {
            let word = line.expect("codes like 200 or 200-399")?;
            let codes = codes(&word)?;
            line.finish();
            if runs && !negated {
                draft.http_check.expect_status = codes;
            }
        }
        "rstatus" | "string" | "rstring" | "string-lf" | "hdr" | "fhdr" | "custom" => {
            let what = format!("`http-check expect {}`", kind.text);
            line.report(Diagnostic::not_yet(kind.span, what));
            line.expect(&format!("the value of `{}`", kind.text))?;
            line.rest();
        }
        _ => return Err(kind.wrong("status, rstatus, string, rstring, hdr or fhdr")),
    }
    Ok(())
}

fn codes(word: &Word) -> Result<Vec<(u16, u16)>, Diagnostic> {
    let wrong = || word.wrong("codes like 200, 200-399 or 200,401");
    let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..=999).contains(code));
    let range = |part: &str| match part.split_once('-') {
        None => code(part).map(|code| (code, code)),
        Some((first, last)) => code(first).zip(code(last)).filter(|(first, last)| first <= last),
    };
    word.text.split(',').map(|part| range(part).ok_or_else(wrong)).collect()
}

/// `option mysql-check [user NAME [post-41|pre-41]]`
pub(crate) fn mysql(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let mut check = MysqlCheck::default();
    if let Some(word) = line.take() {
        if word.text != "user" {
            return Err(word.wrong("user"));
        }
        check.user = Some(line.expect("the name of a user")?.text);
        if let Some(version) = line.take() {
            check.pre_41 = match version.text.as_str() {
                "post-41" => false,
                "pre-41" => true,
                _ => return Err(version.wrong("post-41 or pre-41")),
            };
        }
    }
    line.finish();
    draft.chosen_check = Chosen::Mysql(check);
    Ok(())
}

//! Lines of proxies that need more than a few words to read.

use std::net::{IpAddr, Ipv4Addr};

use super::proxy::{Draft, Parsed, done};
use super::{Balance, ForwardFor, Mode, Redispatch, log, rules};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::line::{Line, Word};

pub(crate) fn mode(draft: &mut Draft, line: &mut Line<'_>) -> Parsed {
    let word = line.expect("tcp or http")?;
    draft.proxy.mode = match word.text.as_str() {
        "tcp" => Mode::Tcp,
        "http" => Mode::Http,
        "health" => {
            let finding = Diagnostic::error(word.span, "removed-keyword", "there is no such mode");
            return Err(finding.help("write `http-request return status 200` in mode http"));
        }
        text => {
            let finding = word.wrong("tcp or http");
            return Err(guess::near(finding, text, ["tcp", "http"]));
        }
    };
    done(line)
}

/// Algorithms that HAProxy has beyond ours; those with a bracket take arguments in it.
const LATER_BALANCE: [&str; 7] =
    ["static-rr", "uri", "url_param", "hdr", "random", "rdp-cookie", "hash"];

pub(crate) fn balance(draft: &mut Draft, line: &mut Line<'_>) -> Parsed {
    let Some(word) = line.take() else {
        draft.proxy.balance = Balance::RoundRobin;
        return Ok(());
    };
    let name = word.text.split('(').next().unwrap_or_default();
    draft.proxy.balance = match name {
        "roundrobin" => Balance::RoundRobin,
        "source" => Balance::Source,
        "leastconn" => Balance::LeastConnections,
        "first" => Balance::First,
        _ if LATER_BALANCE.contains(&name) && name != "hash" => {
            line.report(Diagnostic::not_yet(word.span, format!("`balance {name}`")));
            line.rest();
            return Ok(());
        }
        _ => {
            let message = format!("`{name}` is no way to choose a server");
            let finding = Diagnostic::error(word.span, "bad-value", message);
            let ours = ["roundrobin", "source", "leastconn", "first"];
            let finding = guess::near(finding, name, ours.into_iter().chain(LATER_BALANCE));
            return Err(finding.help_if_none(|| format!("we run {}", ours.join(", "))));
        }
    };
    done(line)
}

pub(crate) fn redispatch(line: &mut Line<'_>) -> Result<Redispatch, Diagnostic> {
    if line.negated {
        return Ok(Redispatch::Never);
    }
    let Some(word) = line.take() else { return Ok(Redispatch::BeforeLast(1)) };
    let number: i32 = word.parse("a number like -1")?;
    Ok(match number {
        // 0: only where a retry goes elsewhere anyway, as with haproxy.
        0.. => Redispatch::Every(number.unsigned_abs()),
        _ => Redispatch::BeforeLast(number.unsigned_abs()),
    })
}

pub(crate) fn forward_for(draft: &mut Draft, line: &mut Line<'_>) -> Parsed {
    let mut option =
        ForwardFor { header: "X-Forwarded-For".to_owned(), except: None, if_none: false };
    while let Some(word) = line.take() {
        match word.text.as_str() {
            "except" => option.except = Some(network(&line.expect("a network")?)?),
            "header" => option.header = line.expect("the name of a header")?.text,
            "if-none" => option.if_none = true,
            _ => return Err(word.wrong("except, header or if-none")),
        }
    }
    draft.proxy.forward_for = Some(option);
    Ok(())
}

fn network(word: &Word) -> Result<(IpAddr, u8), Diagnostic> {
    let wrong = || word.wrong("a network like 10.0.0.0/8");
    let (ip, prefix) = match word.text.split_once('/') {
        Some((ip, prefix)) => (ip, Some(prefix)),
        None => (word.text.as_str(), None),
    };
    let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => most,
        Some(text) => match (text.parse::<u8>(), text.parse::<Ipv4Addr>()) {
            (Ok(prefix), _) if prefix <= most => prefix,
            (_, Ok(mask))
                if u32::from(mask).leading_ones() + u32::from(mask).trailing_zeros() >= 32 =>
            {
                u8::try_from(u32::from(mask).leading_ones()).unwrap_or(most)
            }
            _ => return Err(wrong()),
        },
    };
    Ok((ip, prefix))
}

pub(crate) fn log_line(draft: &mut Draft, line: &mut Line<'_>) -> Parsed {
    if line.negated {
        draft.proxy.logs.clear();
        return done(line);
    }
    if line.accept("global") {
        draft.proxy.logs.extend(draft.global_logs.iter().cloned());
        return done(line);
    }
    draft.proxy.logs.extend(log::parse(line)?);
    Ok(())
}

pub(crate) fn request_rule(draft: &mut Draft, line: &mut Line<'_>) -> Parsed {
    let span = line.whole();
    draft.http_rule_at.get_or_insert(span);
    let rule = rules::parse("http-request", rules::REQUEST, 403, &draft.acls, span, line)?;
    draft.proxy.request_rules.extend(rule);
    Ok(())
}

pub(crate) fn response_rule(draft: &mut Draft, line: &mut Line<'_>) -> Parsed {
    let span = line.whole();
    draft.http_rule_at.get_or_insert(span);
    let rule = rules::parse("http-response", rules::RESPONSE, 502, &draft.acls, span, line)?;
    draft.proxy.response_rules.extend(rule);
    Ok(())
}

//! Keywords of proxies that HAProxy 2.6 runs and we do not, or that need nothing to be done.

use super::address::{self, Host, Target};
use super::proxy::Draft;
use super::{fetches, rules};
use crate::diagnostic::Diagnostic;
use crate::keyword::places::{ALL, BACK, BACK_ONLY, FRONT, FRONT_ONLY, NAMED, SERVING};
use crate::keyword::{Keyword, MANY, Parse, gone, idle, later, now, renamed};
use crate::line::Line;

/// The rest of the section's language (HAProxy's manual, 4.1).
pub(crate) const KEYWORDS: &[Keyword<Draft>] = &[
    after("acl", "<name> <criterion> ...", acl).at(SERVING | NAMED),
    idle("bind-process", "there is one process; threads share the load").at(ALL),
    later("capture cookie").args(1, MANY).at(FRONT_ONLY),
    later("capture request header").args(1, 3).at(FRONT_ONLY),
    later("capture response header").args(1, 3).at(FRONT_ONLY),
    later("clitcpka-cnt").args(1, MANY).at(FRONT),
    later("clitcpka-idle").args(1, MANY).at(FRONT),
    later("clitcpka-intvl").args(1, MANY).at(FRONT),
    later("compression").args(1, MANY).at(ALL),
    later("cookie").args(1, MANY).at(BACK),
    later("declare capture").args(1, MANY).at(FRONT_ONLY),
    later("dispatch").args(1, MANY).at(BACK_ONLY),
    idle("email-alert from", "no effect without `email-alert mailers`").at(ALL),
    idle("email-alert level", "no effect without `email-alert mailers`").at(ALL),
    later("email-alert mailers").at(ALL),
    idle("email-alert myhostname", "no effect without `email-alert mailers`").at(ALL),
    idle("email-alert to", "no effect without `email-alert mailers`").at(ALL),
    later("errorfile").args(1, MANY).at(ALL),
    later("errorfiles").args(1, MANY).at(ALL),
    later("errorloc").args(1, MANY).at(ALL),
    later("errorloc302").args(1, MANY).at(ALL),
    later("errorloc303").args(1, MANY).at(ALL),
    later("error-log-format").args(1, MANY).at(FRONT),
    after("force-persist", "... [if|unless <condition>]", conditional).at(BACK_ONLY),
    later("filter").at(SERVING),
    later("fullconn").args(1, 1).at(BACK),
    later("hash-type").at(BACK),
    after("http-after-response", "<action> [if|unless <condition>]", after_response)
        .at(SERVING | NAMED),
    idle("http-check comment", "a comment").args(1, MANY).at(BACK),
    later("http-check connect").at(BACK),
    later("http-check disable-on-404").args(0, 0).at(BACK),
    later("http-check send-state").args(0, 0).at(BACK),
    after("http-check set-var", VARIABLE, variable).at(BACK),
    after("http-check set-var-fmt", "(<variable>) [<format>]", variable_only).at(BACK),
    after("http-check unset-var", "(<variable>)", variable_only).at(BACK),
    later("http-error").args(1, MANY).at(ALL),
    later("http-reuse").at(BACK),
    later("http-send-name-header").args(1, MANY).at(BACK),
    idle("id", "the number is not shown; proxies have names").args(1, 1).at(SERVING),
    after("ignore-persist", "... [if|unless <condition>]", conditional).at(BACK_ONLY),
    later("load-server-state-from-file").args(1, MANY).at(BACK),
    later("log-format-sd").args(1, MANY).at(FRONT),
    later("max-keep-alive-queue").args(1, MANY).at(BACK),
    after("monitor fail", "... [if|unless <condition>]", conditional).at(FRONT_ONLY),
    later("option accept-invalid-http-request").args(0, 0).at(FRONT).no(),
    later("option accept-invalid-http-response").args(0, 0).at(BACK).no(),
    later("option checkcache").args(0, 0).at(BACK).no(),
    idle("option contstats", "counters are always kept during a session").args(0, 0).at(FRONT).no(),
    idle("option disable-h2-upgrade", "a connection is never upgraded").args(0, 0).at(FRONT).no(),
    idle("option h1-case-adjust-bogus-client", "no effect without `h1-case-adjust`")
        .args(0, 0)
        .at(FRONT)
        .no(),
    idle("option h1-case-adjust-bogus-server", "no effect without `h1-case-adjust`")
        .args(0, 0)
        .at(BACK)
        .no(),
    later("option http-buffer-request").args(0, 0).at(ALL).no(),
    later("option http-ignore-probes").args(0, 0).at(FRONT).no(),
    idle("option http-no-delay", "small writes always go out at once").args(0, 0).at(ALL).no(),
    later("option http-pretend-keepalive").args(0, 0).at(BACK).no(),
    later("option http-restrict-req-hdr-names").args(1, 1).at(ALL),
    idle("option http-use-proxy-header", "obsolete header").args(0, 0).at(FRONT).no(),
    later("option httpslog").at(FRONT),
    idle("option independent-streams", "only how timers are kept").args(0, 0).at(ALL).no(),
    after("option ldap-check", "...", other_check).at(BACK),
    after("option external-check", "...", other_check).at(BACK),
    later("option log-separate-errors").args(0, 0).at(FRONT).no(),
    later("option logasap").args(0, 0).at(FRONT).no(),
    later("option nolinger").args(0, 0).at(ALL).no(),
    later("option originalto").at(ALL),
    later("option persist").args(0, 0).at(BACK).no(),
    after("option pgsql-check", "...", other_check).at(BACK),
    later("option prefer-last-server").args(0, 0).at(BACK).no(),
    after("option redis-check", "...", other_check).at(BACK),
    after("option smtpchk", "...", other_check).at(BACK),
    later("option socket-stats").args(0, 0).at(FRONT).no(),
    idle("option splice-auto", "only how bytes are moved").args(0, 0).at(ALL).no(),
    idle("option splice-request", "only how bytes are moved").args(0, 0).at(ALL).no(),
    idle("option splice-response", "only how bytes are moved").args(0, 0).at(ALL).no(),
    after("option spop-check", "...", other_check).at(BACK),
    after("option ssl-hello-chk", "...", other_check).at(BACK),
    after("option tcp-check", "...", other_check).at(BACK),
    idle("option tcp-smart-accept", "only saves a packet").args(0, 0).at(FRONT).no(),
    idle("option tcp-smart-connect", "only saves a packet").args(0, 0).at(BACK).no(),
    later("option transparent").args(0, 0).at(BACK).no(),
    idle("option idle-close-on-response", "only when idle connections are closed")
        .args(0, 0)
        .at(FRONT)
        .no(),
    later("external-check command").args(1, 1).at(BACK),
    later("external-check path").args(1, 1).at(BACK),
    later("persist rdp-cookie").at(BACK),
    later("rate-limit sessions").args(1, MANY).at(FRONT),
    after("redirect", "... [if|unless <condition>]", redirect).at(SERVING),
    later("retry-on").at(BACK),
    idle("server-state-file-name", "no effect without `load-server-state-from-file`")
        .args(0, 1)
        .at(BACK),
    later("server-template").at(BACK_ONLY),
    after("source", "<address>[:<port>] [usesrc ...]", source).at(BACK),
    later("srvtcpka-cnt").args(1, MANY).at(BACK),
    later("srvtcpka-idle").args(1, MANY).at(BACK),
    later("srvtcpka-intvl").args(1, MANY).at(BACK),
    later("stats http-request").args(1, MANY).at(SERVING),
    later("stick match").args(1, MANY).at(BACK_ONLY),
    later("stick on").args(1, MANY).at(BACK_ONLY),
    later("stick store-request").args(1, MANY).at(BACK_ONLY),
    later("stick store-response").args(1, MANY).at(BACK_ONLY),
    later("stick-table").args(1, MANY).at(SERVING),
    idle("tcp-check comment", "a comment").args(1, MANY).at(BACK),
    later("tcp-check connect").at(BACK),
    later("tcp-check expect").args(1, MANY).at(BACK),
    later("tcp-check send").args(1, MANY).at(BACK),
    later("tcp-check send-lf").args(1, MANY).at(BACK),
    later("tcp-check send-binary").args(1, MANY).at(BACK),
    later("tcp-check send-binary-lf").args(1, MANY).at(BACK),
    after("tcp-check set-var", VARIABLE, variable).at(BACK),
    after("tcp-check set-var-fmt", "(<variable>) [<format>]", variable_only).at(BACK),
    after("tcp-check unset-var", "(<variable>)", variable_only).at(BACK),
    later("tcp-request connection").args(1, MANY).at(FRONT_ONLY | NAMED),
    later("tcp-request content").args(1, MANY).at(SERVING | NAMED),
    later("tcp-request inspect-delay").args(1, MANY).at(SERVING | NAMED),
    later("tcp-request session").args(1, MANY).at(FRONT_ONLY | NAMED),
    later("tcp-response content").args(1, MANY).at(BACK_ONLY | NAMED),
    later("tcp-response inspect-delay").args(1, MANY).at(BACK_ONLY | NAMED),
    later("timeout tarpit").args(1, MANY).at(ALL),
    later("transparent").args(0, 0).at(BACK),
    later("unique-id-format").args(1, MANY).at(FRONT),
    later("unique-id-header").args(1, MANY).at(FRONT),
    now(
        "use_backend",
        "<name> [if|unless <condition>]",
        "",
        "the backend in place of `default_backend`; not yet with a condition or `%[...]`",
        use_backend,
    )
    .at(FRONT_ONLY),
    later("use-fcgi-app").args(1, MANY).at(BACK_ONLY),
    after("use-server", "... [if|unless <condition>]", conditional).at(BACK_ONLY),
    gone("appsession", "use `stick-table` and `stick on`").at(ALL),
    renamed("block", "http-request deny", "write `http-request deny if ...`").at(ALL),
    renamed("clitimeout", "timeout client", "write `timeout client`").at(ALL),
    renamed("contimeout", "timeout connect", "write `timeout connect`").at(ALL),
    renamed("srvtimeout", "timeout server", "write `timeout server`").at(ALL),
    gone("monitor-net", "write `http-request return status 200 if { src ... }`").at(ALL),
    renamed("option forceclose", "option httpclose", "write `option httpclose`").at(ALL),
    gone("option http-tunnel", "remove it").at(ALL),
    renamed("redispatch", "option redispatch", "write `option redispatch`").at(ALL),
    gone("reqadd", "write `http-request add-header`").at(ALL),
    gone("reqallow", "write `http-request allow`").at(ALL),
    gone("reqdel", "write `http-request del-header`").at(ALL),
    gone("reqdeny", "write `http-request deny`").at(ALL),
    gone("reqiallow", "write `http-request allow`").at(ALL),
    gone("reqidel", "write `http-request del-header`").at(ALL),
    gone("reqideny", "write `http-request deny`").at(ALL),
    gone("reqipass", "write `http-request`").at(ALL),
    gone("reqirep", "write `http-request replace-header`").at(ALL),
    gone("reqitarpit", "write `http-request tarpit`").at(ALL),
    gone("reqpass", "write `http-request`").at(ALL),
    gone("reqrep", "write `http-request replace-header`").at(ALL),
    gone("reqtarpit", "write `http-request tarpit`").at(ALL),
    gone("rspadd", "write `http-response add-header`").at(ALL),
    gone("rspdel", "write `http-response del-header`").at(ALL),
    gone("rspdeny", "write `http-response deny`").at(ALL),
    gone("rspidel", "write `http-response del-header`").at(ALL),
    gone("rspideny", "write `http-response deny`").at(ALL),
    gone("rspirep", "write `http-response replace-header`").at(ALL),
    gone("rsprep", "write `http-response replace-header`").at(ALL),
    later("dynamic-cookie-key").args(1, MANY).at(BACK),
];

/// A row that is not run yet, of which we check what a typo would break.
const fn after(name: &'static str, syntax: &'static str, parse: Parse<Draft>) -> Keyword<Draft> {
    now(name, syntax, "", NOT_YET, parse)
}

/// Marks rows of [`after`] in the manual.
pub(crate) const NOT_YET: &str = "checked, not run yet";

fn not_yet(line: &mut Line<'_>) {
    let span = line.head();
    let words: Vec<&str> = line.taken().collect();
    let what = format!("`{}`", words.join(" "));
    line.report(Diagnostic::not_yet(span, what));
}

const VARIABLE: &str = "(<variable>) <expression>";

/// Where variables live (HAProxy's manual, 2.8), before the first `.` of the name.
const SCOPES: [&str; 6] = ["proc", "sess", "txn", "req", "res", "check"];

/// `set-var(check.x) EXPRESSION` of a check
fn variable(_: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    not_yet(line);
    scoped(line)?;
    fetches::check(&line.expect("what the variable becomes")?)?;
    line.rest();
    Ok(())
}

/// `set-var-fmt(check.x) [FORMAT]`, `unset-var(check.x)` of a check
fn variable_only(_: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    not_yet(line);
    scoped(line)?;
    line.rest();
    Ok(())
}

/// Refuses the `(NAME)` of the word just taken if HAProxy would.
fn scoped(line: &Line<'_>) -> Result<(), Diagnostic> {
    let text = line.taken().last().unwrap_or_default();
    let inside = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let name = inside.and_then(|inside| inside.split(',').next()).unwrap_or_default();
    let scope = name.split_once('.').filter(|(_, name)| !name.is_empty()).map(|(scope, _)| scope);
    if scope.is_some_and(|scope| SCOPES.contains(&scope)) {
        return Ok(());
    }
    let message = format!("`{text}` names no variable");
    let help = "write it like `set-var(check.name)`";
    Err(Diagnostic::error(line.head(), "bad-value", message).help(help))
}

fn acl(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    not_yet(line);
    let name = line.expect("the name of the ACL")?;
    let criterion = line.expect("a criterion like path_beg")?;
    draft.acls.push(name.text);
    fetches::check(&criterion)?;
    fetches::flags(line)?;
    line.rest();
    Ok(())
}

/// Without a condition it is what `default_backend` would be, and comes before that.
fn use_backend(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let literal = line.look(0).is_some_and(|name| !name.contains("%["));
    let always = matches!(
        (line.look(1), line.look(2), line.look(3)),
        (None, ..) | (Some("if"), Some("TRUE"), None)
    );
    if !literal || !always {
        not_yet(line);
    }
    let name = line.expect("the name of a backend")?;
    if literal {
        if always && draft.always_backend.is_none() {
            draft.always_backend = Some(name.text.clone());
        }
        draft.use_backends.push(name);
    }
    rules::condition(&draft.acls, line).map(|_| ())
}

fn after_response(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let span = line.whole();
    rules::parse("http-after-response", rules::AFTER, 502, &draft.acls, span, line).map(|_| ())
}

/// `source ADDRESS[:PORT] ...`
fn source(_: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    not_yet(line);
    let word = line.expect("an address")?;
    if let Target::Inet { host: Host::Name(name), .. } = address::parse(&word, &word.text)? {
        line.report(Diagnostic::not_yet(word.span, format!("looking up the name `{name}`")));
    }
    line.rest();
    Ok(())
}

/// Codes of `redirect` (HAProxy's manual, 4.2).
const REDIRECTS: [&str; 5] = ["301", "302", "303", "307", "308"];

/// `redirect location|prefix|scheme VALUE [code N] [options] [if|unless CONDITION]`
fn redirect(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    not_yet(line);
    let mut target = false;
    while let Some(word) = line.peek().cloned() {
        match word.text.as_str() {
            "if" | "unless" => break,
            "location" | "prefix" | "scheme" => {
                line.take();
                line.expect(&format!("the value of `{}`", word.text))?;
                target = true;
            }
            "set-cookie" | "clear-cookie" => {
                line.take();
                line.expect("the cookie")?;
            }
            "code" => {
                line.take();
                let code = line.expect("a status")?;
                if !REDIRECTS.contains(&code.text.as_str()) {
                    return Err(code.wrong("301, 302, 303, 307 or 308"));
                }
            }
            "drop-query" | "append-slash" | "ignore-empty" => {
                line.take();
            }
            _ => return Err(word.wrong("location, prefix, scheme, code, if or unless")),
        }
    }
    if !target {
        line.expect("location, prefix or scheme")?;
    }
    rules::condition(&draft.acls, line).map(|_| ())
}

fn conditional(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    not_yet(line);
    while !matches!(line.look(0), None | Some("if" | "unless")) {
        line.take();
    }
    rules::condition(&draft.acls, line).map(|_| ())
}

fn other_check(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    not_yet(line);
    line.rest();
    draft.foreign_check = true;
    Ok(())
}

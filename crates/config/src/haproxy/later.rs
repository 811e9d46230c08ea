//! Keywords of proxies that HAProxy 2.6 runs and we do not, or that need nothing to be done.

use super::proxy::Draft;
use super::{fetches, rules};
use crate::diagnostic::Diagnostic;
use crate::keyword::places::{ALL, BACK, BACK_ONLY, FRONT, FRONT_ONLY, NAMED, SERVING};
use crate::keyword::{Keyword, Parse, gone, idle, later, now};
use crate::line::Line;

/// The rest of the section's language (HAProxy's manual, 4.1).
pub(crate) const KEYWORDS: &[Keyword<Draft>] = &[
    after("acl", "<name> <criterion> ...", acl).at(SERVING | NAMED),
    idle("bind-process", "there is one process; threads share the load").at(ALL),
    later("capture cookie").at(FRONT_ONLY),
    later("capture request header").at(FRONT_ONLY),
    later("capture response header").at(FRONT_ONLY),
    later("clitcpka-cnt").at(FRONT),
    later("clitcpka-idle").at(FRONT),
    later("clitcpka-intvl").at(FRONT),
    later("compression").at(ALL),
    later("cookie").at(BACK),
    later("declare capture").at(FRONT_ONLY),
    later("dispatch").at(BACK_ONLY),
    idle("email-alert from", "no effect without `email-alert mailers`").at(ALL),
    idle("email-alert level", "no effect without `email-alert mailers`").at(ALL),
    later("email-alert mailers").at(ALL),
    idle("email-alert myhostname", "no effect without `email-alert mailers`").at(ALL),
    idle("email-alert to", "no effect without `email-alert mailers`").at(ALL),
    later("errorfile").at(ALL),
    later("errorfiles").at(ALL),
    later("errorloc").at(ALL),
    later("errorloc302").at(ALL),
    later("errorloc303").at(ALL),
    later("error-log-format").at(FRONT),
    after("force-persist", "... [if|unless <condition>]", conditional).at(BACK_ONLY),
    later("filter").at(SERVING),
    later("fullconn").at(BACK),
    later("hash-type").at(BACK),
    after("http-after-response", "<action> [if|unless <condition>]", after_response)
        .at(SERVING | NAMED),
    idle("http-check comment", "a comment").at(BACK),
    later("http-check connect").at(BACK),
    later("http-check disable-on-404").at(BACK),
    later("http-check send-state").at(BACK),
    later("http-check set-var").at(BACK),
    later("http-check unset-var").at(BACK),
    later("http-error").at(ALL),
    later("http-reuse").at(BACK),
    later("http-send-name-header").at(BACK),
    idle("id", "the number is not shown; proxies have names").at(SERVING),
    after("ignore-persist", "... [if|unless <condition>]", conditional).at(BACK_ONLY),
    later("load-server-state-from-file").at(BACK),
    later("log-format").at(FRONT),
    later("log-format-sd").at(FRONT),
    later("max-keep-alive-queue").at(BACK),
    after("monitor fail", "... [if|unless <condition>]", conditional).at(FRONT_ONLY),
    later("option abortonclose").at(BACK).no(),
    later("option http-server-close").at(ALL).no(),
    later("option accept-invalid-http-request").at(FRONT).no(),
    later("option accept-invalid-http-response").at(BACK).no(),
    later("option checkcache").at(BACK).no(),
    idle("option contstats", "counters are always kept during a session").at(FRONT).no(),
    idle("option disable-h2-upgrade", "a connection is never upgraded").at(FRONT).no(),
    idle("option h1-case-adjust-bogus-client", "no effect without `h1-case-adjust`").at(FRONT).no(),
    idle("option h1-case-adjust-bogus-server", "no effect without `h1-case-adjust`").at(BACK).no(),
    later("option http-buffer-request").at(ALL).no(),
    later("option http-ignore-probes").at(FRONT).no(),
    idle("option http-no-delay", "small writes always go out at once").at(ALL).no(),
    later("option http-pretend-keepalive").at(BACK).no(),
    later("option http-restrict-req-hdr-names").at(ALL),
    idle("option http-use-proxy-header", "obsolete header").at(FRONT).no(),
    later("option httpslog").at(FRONT),
    idle("option independent-streams", "only how timers are kept").at(ALL).no(),
    after("option ldap-check", "...", other_check).at(BACK),
    after("option external-check", "...", other_check).at(BACK),
    later("option log-separate-errors").at(FRONT).no(),
    later("option logasap").at(FRONT).no(),
    later("option nolinger").at(ALL).no(),
    later("option originalto").at(ALL),
    later("option persist").at(BACK).no(),
    after("option pgsql-check", "...", other_check).at(BACK),
    later("option prefer-last-server").at(BACK).no(),
    after("option redis-check", "...", other_check).at(BACK),
    after("option smtpchk", "...", other_check).at(BACK),
    later("option socket-stats").at(FRONT).no(),
    idle("option splice-auto", "only how bytes are moved").at(ALL).no(),
    idle("option splice-request", "only how bytes are moved").at(ALL).no(),
    idle("option splice-response", "only how bytes are moved").at(ALL).no(),
    after("option spop-check", "...", other_check).at(BACK),
    after("option ssl-hello-chk", "...", other_check).at(BACK),
    after("option tcp-check", "...", other_check).at(BACK),
    idle("option tcp-smart-accept", "only saves a packet").at(FRONT).no(),
    idle("option tcp-smart-connect", "only saves a packet").at(BACK).no(),
    later("option transparent").at(BACK).no(),
    idle("option idle-close-on-response", "only when idle connections are closed").at(FRONT).no(),
    later("external-check command").at(BACK),
    later("external-check path").at(BACK),
    later("persist rdp-cookie").at(BACK),
    later("rate-limit sessions").at(FRONT),
    after("redirect", "... [if|unless <condition>]", conditional).at(SERVING),
    later("retry-on").at(BACK),
    idle("server-state-file-name", "no effect without `load-server-state-from-file`").at(BACK),
    later("server-template").at(BACK_ONLY),
    later("source").at(BACK),
    later("srvtcpka-cnt").at(BACK),
    later("srvtcpka-idle").at(BACK),
    later("srvtcpka-intvl").at(BACK),
    later("stats http-request").at(SERVING),
    later("stats scope").at(ALL),
    later("stats show-desc").at(ALL),
    later("stats show-legends").at(ALL),
    later("stats show-node").at(ALL),
    later("stick match").at(BACK_ONLY),
    later("stick on").at(BACK_ONLY),
    later("stick store-request").at(BACK_ONLY),
    later("stick store-response").at(BACK_ONLY),
    later("stick-table").at(SERVING),
    idle("tcp-check comment", "a comment").at(BACK),
    later("tcp-check connect").at(BACK),
    later("tcp-check expect").at(BACK),
    later("tcp-check send").at(BACK),
    later("tcp-check send-lf").at(BACK),
    later("tcp-check send-binary").at(BACK),
    later("tcp-check send-binary-lf").at(BACK),
    later("tcp-check set-var").at(BACK),
    later("tcp-check unset-var").at(BACK),
    later("tcp-request connection").at(FRONT_ONLY | NAMED),
    later("tcp-request content").at(SERVING | NAMED),
    later("tcp-request inspect-delay").at(SERVING | NAMED),
    later("tcp-request session").at(FRONT_ONLY | NAMED),
    later("tcp-response content").at(BACK_ONLY | NAMED),
    later("tcp-response inspect-delay").at(BACK_ONLY | NAMED),
    later("timeout tarpit").at(ALL),
    later("transparent").at(BACK),
    later("unique-id-format").at(FRONT),
    later("unique-id-header").at(FRONT),
    after("use_backend", "<name> [if|unless <condition>]", use_backend).at(FRONT_ONLY),
    later("use-fcgi-app").at(BACK_ONLY),
    after("use-server", "... [if|unless <condition>]", conditional).at(BACK_ONLY),
    gone("appsession", "use `stick-table` and `stick on`").at(ALL),
    gone("block", "write `http-request deny if ...`").at(ALL),
    gone("clitimeout", "write `timeout client`").at(ALL),
    gone("contimeout", "write `timeout connect`").at(ALL),
    gone("srvtimeout", "write `timeout server`").at(ALL),
    gone("monitor-net", "write `http-request return status 200 if { src ... }`").at(ALL),
    gone("option forceclose", "remove it, or write `option httpclose`").at(ALL),
    gone("option http-tunnel", "remove it").at(ALL),
    gone("redispatch", "write `option redispatch`").at(ALL),
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
    later("dynamic-cookie-key").at(BACK),
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

fn acl(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    not_yet(line);
    let name = line.expect("the name of the ACL")?;
    let criterion = line.expect("a criterion like path_beg")?;
    draft.acls.push(name.text);
    line.rest();
    fetches::check(&criterion)
}

fn use_backend(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    not_yet(line);
    let name = line.expect("the name of a backend")?;
    if !name.text.contains("%[") {
        draft.use_backends.push(name);
    }
    rules::condition(&draft.acls, line).map(|_| ())
}

fn after_response(draft: &mut Draft, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let span = line.whole();
    rules::parse("http-after-response", rules::AFTER, 502, &draft.acls, span, line).map(|_| ())
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

//! What etcd's answers mean: whether something was done, and what is wrong.

use serde_json::Value;

use super::Failed;
use super::http::Answer;

/// What is to be done about a database that has reached its quota.
pub(super) const NO_SPACE: &str =
    "compact and defragment it or raise its quota, then `etcdctl alarm disarm`";

/// `reads`: the question may be asked again, so it does not matter whether it was done.
pub(super) fn judge(answer: Answer, reads: bool) -> Result<Value, Failed> {
    let parsed = serde_json::from_slice::<Value>(&answer.body);
    let value = match (answer.status, parsed) {
        (200, Ok(value)) => return Ok(value),
        // Refused before etcd itself saw it. Of a write only these say so for sure.
        (status @ 400..=499, Err(_)) if reads || matches!(status, 401 | 403 | 404) => {
            let text: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
            let why = match status {
                404 => "it has no JSON gateway: start it with --enable-grpc-gateway".to_owned(),
                status => format!("it answers with HTTP status {status}: {}", text.trim_end()),
            };
            return Err(Failed::Wrong(why));
        }
        (_, Err(_)) => return Err(Failed::Unknown),
        (_, Ok(value)) => value,
    };
    let text = value["error"].as_str().or_else(|| value["message"].as_str()).unwrap_or("no reason");
    let says = |what: &[&str]| what.iter().any(|what| text.contains(what));
    if says(&["invalid auth token", "user name is empty", "auth store is old"]) {
        return Err(Failed::Token);
    }
    // Both are refused before they are proposed, or when they are applied, and then change nothing.
    if says(&["space exceeded"]) {
        return Err(Failed::Said(text.to_owned()));
    }
    if says(&["too many requests"]) {
        return Err(Failed::NotDone);
    }
    // gRPC's INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION, UNAUTHENTICATED.
    match value["code"].as_u64() {
        Some(3 | 5 | 7 | 9 | 16) => Err(Failed::Said(text.to_owned())),
        _ => Err(Failed::Unknown),
    }
}

/// The alarms and errors in a member's status.
pub(super) fn trouble(status: &Value) -> Option<String> {
    let errors = status["errors"].as_array()?.iter().filter_map(Value::as_str);
    let errors: Vec<_> = errors.map(str::trim).collect();
    let all = errors.join(", ");
    let hint = if all.contains("NOSPACE") { format!(": {NO_SPACE}") } else { String::new() };
    (!all.is_empty()).then(|| format!("etcd says: {all}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_a_write_was_done_or_nobody_knows() {
        let (said, wrong) = (
            |text: &str| Failed::Said(text.to_owned()),
            |text: &str| Failed::Wrong(format!("it answers with HTTP status {text}")),
        );
        let space = "etcdserver: mvcc: database space exceeded";
        let rows = [
            // status, body, reads, what it means
            (401, "no".to_owned(), false, wrong("401: no")),
            (413, "too long".to_owned(), true, wrong("413: too long")),
            // Somebody between etcd and us: who knows what he has passed on.
            (408, "late".to_owned(), false, Failed::Unknown),
            (413, "too long".to_owned(), false, Failed::Unknown),
            (502, "bad gateway".to_owned(), false, Failed::Unknown),
            (429, format!(r#"{{"error":"{space}","code":8}}"#), false, said(space)),
            (
                429,
                r#"{"error":"etcdserver: too many requests","code":8}"#.to_owned(),
                false,
                Failed::NotDone,
            ),
            (
                503,
                r#"{"error":"etcdserver: no leader","code":14}"#.to_owned(),
                false,
                Failed::Unknown,
            ),
            (
                401,
                r#"{"error":"etcdserver: invalid auth token","code":16}"#.to_owned(),
                false,
                Failed::Token,
            ),
            (
                403,
                r#"{"error":"etcdserver: permission denied","code":7}"#.to_owned(),
                false,
                said("etcdserver: permission denied"),
            ),
        ];
        for (status, body, reads, means) in rows {
            let judged = judge(Answer { status, body: body.clone().into_bytes() }, reads);
            assert_eq!(judged.unwrap_err(), means, "{status} {body}");
        }
    }

    #[test]
    fn an_alarm_is_trouble_and_says_what_to_do() {
        let status = |errors: &str| serde_json::from_str::<Value>(errors).unwrap();
        assert_eq!(trouble(&status(r#"{"dbSize":"1"}"#)), None);
        assert_eq!(trouble(&status(r#"{"errors":[]}"#)), None);
        let alarm =
            trouble(&status(r#"{"errors":["memberID:10276657743932975437 alarm:NOSPACE "]}"#));
        let expected =
            format!("etcd says: memberID:10276657743932975437 alarm:NOSPACE: {NO_SPACE}");
        assert_eq!(alarm.unwrap(), expected);
        let leaderless = trouble(&status(r#"{"errors":["etcdserver: no leader"]}"#));
        assert_eq!(leaderless.unwrap(), "etcd says: etcdserver: no leader");
    }
}

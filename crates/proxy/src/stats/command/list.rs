//! Which commands there are.

/// Command and what it is for, in haproxy's words. Only what is run here.
const COMMANDS: [(&str, &str); 17] = [
    ("disable server (DEPRECATED)", "disable a server for maintenance (use 'set server' instead)"),
    ("enable server  (DEPRECATED)", "enable a disabled server (use 'set server' instead)"),
    ("get weight <bk>/<srv>", "report a server's current weight"),
    ("operator", "lower the level of the current CLI session to operator"),
    ("set server <bk>/<srv> [opts]", "change a server's state, weight, address or ssl"),
    ("set weight <bk>/<srv>  (DEPRECATED)", "change a server's weight (use 'set server' instead)"),
    ("show backend", "list backends in the current running config"),
    ("show cli level", "display the level of the current CLI session"),
    (
        "show errors [<px>] [request|response]",
        "report last request and/or response errors for each proxy",
    ),
    ("show info", "report information about the running process"),
    (
        "show servers state [<backend>]",
        "dump volatile server information (all or for a single backend)",
    ),
    ("show sess [id]", "report the list of current sessions or dump this exact session"),
    ("show stat [no-maint|up]*", "report counters for each proxy and server"),
    ("show version", "show version of the current process"),
    ("user", "lower the level of the current CLI session to user"),
    ("help [<command>]", "list matching or all commands"),
    ("prompt", "toggle interactive mode with prompt"),
];

const QUIT: (&str, &str) = ("quit", "disconnect");

/// The last ones, which fit everywhere.
const ALWAYS: usize = 2;

pub(super) fn help(out: &mut String) {
    out.push_str("The following commands are valid at this level:\n");
    COMMANDS.iter().for_each(|command| line(command, out));
    line(&QUIT, out);
}

/// Names commands that share the first word, or any word, with what was written.
pub(super) fn unknown(words: &[&str], out: &mut String) {
    let (usual, always) = COMMANDS.split_at(COMMANDS.len() - ALWAYS);
    let alike = |(name, _): &&(&str, &str)| {
        words.first().is_some_and(|word| name.split(' ').next() == Some(*word))
    };
    let mut similar = usual.iter().filter(alike).peekable();
    if similar.peek().is_none() {
        out.push_str("Unknown command. Please enter one of the following commands only:\n");
        usual.iter().for_each(|command| line(command, out));
    } else {
        out.push_str("Unknown command, but maybe one of the following ones is a better match:\n");
        similar.for_each(|command| line(command, out));
    }
    always.iter().for_each(|command| line(command, out));
    line(&QUIT, out);
}

fn line((name, what): &(&str, &str), out: &mut String) {
    out.push_str(&format!("  {name:<40}: {what}\n"));
}

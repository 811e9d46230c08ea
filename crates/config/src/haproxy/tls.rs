//! Words about TLS, which we do not run yet: read to find mistakes in them.

use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::line::Line;

const VERSIONS: [&str; 5] = ["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/// Reads what follows `ssl-min-ver` and `ssl-max-ver`.
pub(crate) fn version(line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let word = line.expect("a version like TLSv1.2")?;
    if VERSIONS.contains(&word.text.as_str()) {
        return Ok(());
    }
    let finding = word.wrong("a version of TLS");
    Err(guess::suggest(finding, &word.text, VERSIONS))
}

/// Words of `ssl-default-bind-options` and `ssl-default-server-options`, and how many words follow.
const TLS_OPTIONS: [(&str, u8); 18] = [
    ("allow-0rtt", 0),
    ("force-sslv3", 0),
    ("force-tlsv10", 0),
    ("force-tlsv11", 0),
    ("force-tlsv12", 0),
    ("force-tlsv13", 0),
    ("no-ca-names", 0),
    ("no-sslv3", 0),
    ("no-tls-tickets", 0),
    ("no-tlsv10", 0),
    ("no-tlsv11", 0),
    ("no-tlsv12", 0),
    ("no-tlsv13", 0),
    ("prefer-client-ciphers", 0),
    ("ssl-max-ver", 1),
    ("ssl-min-ver", 1),
    ("strict-sni", 0),
    ("tls-tickets", 0),
];

/// Reads what follows them.
pub(crate) fn options(line: &mut Line<'_>) -> Result<(), Diagnostic> {
    if line.peek().is_none() {
        line.expect("an option like no-tlsv10")?;
    }
    while let Some(word) = line.take() {
        let Some((_, follow)) = TLS_OPTIONS.iter().find(|(name, _)| *name == word.text) else {
            let message = format!("`{}` is no option of TLS", word.text);
            let finding = Diagnostic::error(word.span, "bad-value", message);
            return Err(guess::near(finding, &word.text, TLS_OPTIONS.map(|(name, _)| name)));
        };
        if *follow > 0 {
            version(line)?;
        }
    }
    Ok(())
}

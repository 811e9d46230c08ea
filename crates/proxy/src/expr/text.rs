//! Texts with values in them, on their way into headers, targets, pages and lines of a log.

use config::haproxy::{Format, LogPart, LogStyle, LogValue};

use super::{Sample, Scene, evaluate};
use config::haproxy::expr::Fetch;

/// Writes a text; what comes from values is made harmless first ([`encoded`]).
pub(crate) fn write(format: &Format, scene: &Scene<'_>, out: &mut Vec<u8>) {
    for part in &format.parts {
        match part {
            LogPart::Text(text) => out.extend_from_slice(text.as_bytes()),
            LogPart::Blank => out.push(b' '),
            LogPart::Value(value, style) => {
                let mut text = Vec::new();
                variable(*value, scene, &mut text);
                styled(*style, &text, out);
            }
            LogPart::Expr(expr, style) => {
                let sample = evaluate(expr, scene);
                let text = sample.map(Sample::text);
                styled(*style, text.as_deref().unwrap_or_default(), out);
            }
        }
    }
}

fn styled(style: LogStyle, text: &[u8], out: &mut Vec<u8>) {
    if style.quoted {
        out.push(b'"');
    }
    encoded(text, out);
    if style.quoted {
        out.push(b'"');
    }
}

/// Control characters become `%XX`, as in HAProxy: no value ends a line that it stands in.
pub(crate) fn encoded(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        if byte.is_ascii_control() && byte != b'\t' {
            out.push(b'%');
            out.extend_from_slice(&super::sample::hexadecimal(&[byte]));
        } else {
            out.push(byte);
        }
    }
}

/// Variables that mean the same as a fetch, or as a part of the request line.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "others are refused in rules when the configuration is read"
)]
fn variable(value: LogValue, scene: &Scene<'_>, out: &mut Vec<u8>) {
    use LogValue as V;
    let fetch = match value {
        V::HostName => Fetch::HostName,
        V::Backend => Fetch::BackendName,
        V::Frontend => Fetch::FrontendName,
        V::ClientAddress => Fetch::Source,
        V::ClientPort => Fetch::SourcePort,
        V::FrontendAddress => Fetch::Destination,
        V::FrontendPort => Fetch::DestinationPort,
        V::Method => Fetch::CapturedMethod,
        V::Uri => Fetch::CapturedUri,
        V::Version => Fetch::CapturedVersion,
        V::RequestLine => return out.extend_from_slice(scene.line),
        V::Pid => return out.extend_from_slice(scene.view.pid.to_string().as_bytes()),
        V::Path | V::Query => {
            let uri = scene.line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            let at = uri.iter().position(|byte| *byte == b'?').unwrap_or(uri.len());
            let part = if value == V::Path { &uri[..at] } else { &uri[at..] };
            return out.extend_from_slice(part);
        }
        _ => return,
    };
    if let Some(sample) = super::fetch::one(&fetch, scene) {
        out.extend_from_slice(&sample.text());
    }
}

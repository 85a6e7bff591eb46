//! Text in an HTTP header: as it is where that is safe, otherwise as `=?base64?…?=` (2026-07-28, basic/transports).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEFORE: &str = "=?base64?";
const AFTER: &str = "?=";

/// `text` in the form in which a header carries it.
pub fn encoded(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && text.trim() == text;
    // What only looks coded would be decoded at the other end.
    if is_plain && coded(text).is_none() {
        return text.to_owned();
    }
    format!("{BEFORE}{}{AFTER}", STANDARD.encode(text))
}

/// The text that a header carries; `None` if it is damaged or has characters that a header may not have.
pub fn decoded(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    if text.bytes().any(|byte| byte != b'\t' && !(0x20..0x7f).contains(&byte)) {
        return None;
    }
    match coded(text) {
        Some(coded) => String::from_utf8(STANDARD.decode(coded).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}

fn coded(text: &str) -> Option<&str> {
    text.strip_prefix(BEFORE)?.strip_suffix(AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives_a_header() {
        let plain = ["", "us-west1", "us west 1", "=?base64?"];
        let coded = ["Hello, 世界", " padded ", "line1\r\nline2", "\ttab", "=?base64?bGl0ZXJhbA==?="];
        for text in plain {
            assert_eq!(encoded(text), text);
        }
        for text in coded {
            assert!(encoded(text).starts_with(BEFORE), "{text:?}");
        }
        for text in plain.into_iter().chain(coded) {
            assert_eq!(decoded(encoded(text).as_bytes()).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_damaged_header_says_nothing() {
        for damaged in ["=?base64?not base64?=", "größe", "a\u{7}b"] {
            assert_eq!(decoded(damaged.as_bytes()), None, "{damaged:?}");
        }
        assert_eq!(decoded(&[0xff]), None);
    }
}

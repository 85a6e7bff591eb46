//! Text in an HTTP header: as it is where that is safe, otherwise as `=?base64?…?=` (2026-07-28, basic/transports).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

const BEFORE: &str = "=?base64?";
const AFTER: &str = "?=";

/// How long a `Retry-After` of this `value` asks to wait at `now`: so many seconds, or until a date (RFC 9110, 10.2.3).
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = DateTimeParser::new().parse_timestamp(value).ok()?;
    // A date that has passed asks for no wait.
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

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
    fn a_wait_is_asked_for_in_seconds_or_by_a_date() {
        let now: Timestamp = "2026-11-21T13:00:00Z".parse().expect("a time");
        let wait = |value| retry_after(value, now).map(|wait| wait.as_millis());
        assert_eq!([wait("120"), wait(" 1.5 "), wait("0")], [Some(120_000), Some(1_500), Some(0)]);
        assert_eq!(wait("Sat, 21 Nov 2026 13:00:30 GMT"), Some(30_000));
        assert_eq!(wait("Sat, 21 Nov 2026 12:59:00 GMT"), Some(0), "it has passed");
        assert_eq!([wait("-1"), wait("soon"), wait("1e300"), wait("NaN")], [None; 4]);
    }

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

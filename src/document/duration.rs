//! Lengths of time as people write them: `250ms`, `15s`, `1m30s`, `7d`.

use std::time::Duration;

use serde_json::{Value, json};

/// The units, longest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Nothing here waits longer than ten years; more could not be added to a clock's reading without overflow.
pub const LONGEST: Duration = Duration::from_hours(3_650 * 24);

/// What [`parse_duration`] takes, as a JSON Schema.
pub fn schema() -> Value {
    json!({
        "description": "A length of time: `500ms`, `30s`, `1m30s`, `24h`, `7d`, or milliseconds.",
        "anyOf": [
            { "type": "string", "pattern": "^([0-9]+|([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$", "minLength": 1 },
            { "type": "integer", "minimum": 0 },
        ],
    })
}

/// Parses numbers with units (`ms`, `s`, `m`, `h`, `d`), longer units first. A bare number is in milliseconds.
///
/// `None` if it is no length of time or exceeds [`LONGEST`].
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return from_millis(text.parse().ok()?);
    }
    let mut rest = text;
    let mut units = UNITS.as_slice();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (digits, after) = split(rest, |byte| byte.is_ascii_digit());
        let (unit, after) = split(after, |byte| byte.is_ascii_alphabetic());
        let place = units.iter().position(|(name, _)| *name == unit)?;
        total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(units[place].1)?)?;
        // Each unit once and in falling order: `30s1m` is more likely a slip than a wish.
        units = &units[place + 1..];
        rest = after;
    }
    from_millis(total)
}

/// What words such as `5 minutes`, or units in the wrong order, were meant to be, in the shortest form.
pub fn meant_duration(text: &str) -> Option<String> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (digits, after) = split(rest, |byte| byte.is_ascii_digit());
        let (word, after) = split(after.trim_start(), |byte| byte.is_ascii_alphabetic());
        let unit = match word.to_ascii_lowercase().as_str() {
            "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => "ms",
            "s" | "sec" | "secs" | "second" | "seconds" => "s",
            "m" | "min" | "mins" | "minute" | "minutes" => "m",
            "h" | "hr" | "hrs" | "hour" | "hours" => "h",
            "d" | "day" | "days" => "d",
            _ => return None,
        };
        total = total.checked_add(parse_duration(&format!("{digits}{unit}"))?)?;
        rest = after.trim_start();
    }
    Some(total).filter(|total| !total.is_zero() && *total <= LONGEST).map(format_duration)
}

/// The shortest way to write `duration`, whole milliseconds: `1m30s`, and `0s` for none.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut text = String::new();
    for (name, unit) in UNITS {
        let count = rest / u128::from(unit);
        rest %= u128::from(unit);
        if count > 0 {
            text.push_str(&count.to_string());
            text.push_str(name);
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// `milliseconds` as a duration, unless it exceeds [`LONGEST`].
pub fn from_millis(milliseconds: u64) -> Option<Duration> {
    Some(Duration::from_millis(milliseconds)).filter(|duration| *duration <= LONGEST)
}

fn split(text: &str, belongs: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

    #[test]
    fn people_write_durations_with_units() {
        let millis = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(millis("250ms"), Some(250));
        assert_eq!(millis("15s"), Some(15_000));
        assert_eq!(millis("1m30s"), Some(90_000));
        assert_eq!(millis("24h"), millis("1d"));
        assert_eq!(millis("7d"), Some(7 * 86_400_000));
        assert_eq!(millis("500"), Some(500));
        assert_eq!(millis("0s"), Some(0));
    }

    #[test]
    fn words_are_understood_well_enough_for_a_suggestion() {
        assert_eq!(meant_duration("5 minutes").as_deref(), Some("5m"));
        assert_eq!(meant_duration("30s1m").as_deref(), Some("1m30s"));
        assert_eq!(meant_duration("1 hour 30 min").as_deref(), Some("1h30m"));
        for wrong in ["", "soon", "-5s", "5", "9999d", "5x"] {
            assert_eq!(meant_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for wrong in
            ["", "s", "5x", "5 s", "-5s", "1.5s", "30s1m", "5s5s", "9999d", "99999999999999999999h", "5s!", "5é"]
        {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_written_duration_reads_back(millis in 0..=LONGEST.as_secs() * 1_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,12}") {
            let _ = parse_duration(&text);
        }
    }
}

//! Points in time as people and programs write them.

use serde_json::Value;

const DAY: i64 = 86_400_000;

/// Milliseconds since the Unix epoch: given as such, or as RFC 3339 text like `2027-01-31T08:00:00+01:00`.
pub fn parse(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => u64::try_from(rfc3339(text)?).ok(),
        _ => None,
    }
}

/// Fractions of a second beyond milliseconds are cut off; a leap second counts as the one before it.
fn rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let is_real = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day) && hour < 24 && minute < 60;
    if !is_real || second > 60 || fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let of_day = ((hour * 60 + minute) * 60 + second.min(59)) * 1_000 + thousandths;
    Some(days_since_epoch(year, month, day) * DAY + of_day - offset(zone)?)
}

/// How far a zone is ahead of UTC, in milliseconds.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let [hours, minutes] = numbers(zone.get(1..)?, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
}

/// Numbers of so many digits each, with `between` between them.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let parts: Vec<_> = text.split(between).collect();
    let parts: [&str; N] = parts.try_into().ok()?;
    let mut numbers = [0; N];
    for ((number, part), digits) in numbers.iter_mut().zip(parts).zip(digits) {
        let is_right = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = is_right.then(|| part.parse().ok())??;
    }
    Some(numbers)
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01: whole eras of 400 years, counted from March so that the leap day comes last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn points_in_time_are_read() {
        let of = |text: &str| parse(&json!(text));
        assert_eq!(of("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(of("2000-02-29T12:00:00.5Z"), Some(951_825_600_500));
        assert_eq!(of("2027-01-31T08:00:00+01:00"), of("2027-01-31T07:00:00z"));
        assert_eq!(of("2026-11-21 08:00:00-00:30"), Some(1_795_249_800_000));
        assert_eq!(parse(&json!(1_234)), Some(1_234));
    }

    #[test]
    fn what_is_no_point_in_time_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2027-02-29T00:00:00Z",
            "2027-13-01T00:00:00Z",
            "2027-01-01",
            "2027-01-01T24:00:00Z",
            "2027-01-01T00:00:00",
            "2027-1-01T00:00:00Z",
            "2027-01-01T00:00:00.Z",
            "2027-01-01T00:00:00+25:00",
            "1969-12-31T23:59:59Z",
            "2027-01-01T00:00:0éZ",
        ] {
            assert_eq!(parse(&json!(text)), None, "{text}");
        }
        assert_eq!(parse(&json!(-1)), None);
        assert_eq!(parse(&json!([1])), None);
    }
}

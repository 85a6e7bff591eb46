//! Amounts of memory as people write them: `512MB`, `1.5GB`, `64MiB`.

/// The units, in bytes; those that end alike come with the longer first.
const UNITS: [(&str, u64); 7] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("b", 1),
];

/// More than any machine has, and few enough that sums of them fit.
const MOST: f64 = 1e15;

/// Parses a number with a unit, in any case. `None` if it is none, or no whole number of bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (digits, unit) = UNITS.iter().find_map(|(name, bytes)| Some((text.strip_suffix(name)?, *bytes)))?;
    let digits = digits.trim_end();
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "units are far below 2^53")]
    let bytes = digits.parse::<f64>().ok()? * unit as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is looked at first")]
    (bytes.fract() == 0.0 && (0.0..=MOST).contains(&bytes)).then_some(bytes as u64)
}

/// The number of bytes with the unit that suits it, rounded to one place.
pub fn show_size(bytes: u64) -> String {
    let (name, unit) = [("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)]
        .into_iter()
        .find(|(_, unit)| bytes >= *unit)
        .unwrap_or(("B", 1));
    let tenths = (bytes + unit / 20) * 10 / unit;
    match tenths % 10 {
        0 => format!("{} {name}", tenths / 10),
        tenth => format!("{}.{tenth} {name}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        let sizes = [("512MB", 512_000_000), ("1.5gb", 1_500_000_000), ("64 MiB", 64 << 20), ("2KiB", 2048), ("7b", 7)];
        for (text, bytes) in sizes {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "MB", "512", "-1MB", "1e3MB", "0.3b", "9999999GB", "infMB", "12 apples"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_short() {
        let shown = [0, 999, 1_000, 1_250_000, 512_000_000, 2_049_000_000].map(show_size);
        assert_eq!(shown, ["0 B", "999 B", "1 KB", "1.3 MB", "512 MB", "2 GB"]);
    }
}

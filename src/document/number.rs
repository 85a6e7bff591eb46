//! Numbers, read exactly.

use serde_json::Number;

/// The number that `written` is in JSON's notation; `None` if it is none or exceeds the range of 64 bits.
///
/// Fractions are parsed by the standard library: JSON's quick path may miss the nearest one by a digit.
pub(super) fn parse(written: &str) -> Option<Number> {
    let number = serde_json::from_str::<Number>(written).ok()?;
    if number.is_f64() { Number::from_f64(written.parse().ok()?) } else { Some(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_exactly_or_not_at_all() {
        for exact in ["0", "-7", "18446744073709551615", "9.018310023613281e+300", "0.1"] {
            assert_eq!(parse(exact).map(|number| number.to_string()).as_deref(), Some(exact));
        }
        for wrong in ["", "01", "+1", ".5", "1e999", "0x1", "1_0", "nan"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}

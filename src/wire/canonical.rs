//! A JSON text in the one form that every way of writing the same value comes to.
//!
//! Members are sorted, blanks are gone, escapes are those that must be. Numbers stay as they are written, since to read
//! them could make two of them one.

use serde_json::value::RawValue;

use crate::wire::object::Object;

/// Nothing deeper has a canonical form.
const DEEPEST: usize = 64;

/// The canonical form of `raw`; `None` if it is too deep or has a member twice, which two readers may understand in two ways.
pub fn canonical(raw: &RawValue) -> Option<String> {
    let mut text = String::with_capacity(raw.get().len());
    write(raw, &mut text, 0)?;
    Some(text)
}

fn write(raw: &RawValue, text: &mut String, depth: usize) -> Option<()> {
    if depth > DEEPEST {
        return None;
    }
    match raw.get().trim_start().as_bytes().first()? {
        b'{' => {
            let object = Object::parse(raw)?;
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            if members.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return None;
            }
            text.push('{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                text.push_str(&serde_json::to_string(name).ok()?);
                text.push(':');
                write(value, text, depth + 1)?;
            }
            text.push('}');
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
            text.push('[');
            for (place, item) in items.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write(item, text, depth + 1)?;
            }
            text.push(']');
        }
        b'"' => {
            let value: String = serde_json::from_str(raw.get()).ok()?;
            text.push_str(&serde_json::to_string(&value).ok()?);
        }
        _ => text.push_str(raw.get().trim()),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        canonical(&RawValue::from_string(text.to_owned()).expect("JSON"))
    }

    #[test]
    fn the_same_value_has_the_same_form_however_it_is_written() {
        let form = Some(r#"{"a":[1,{"x":true,"y":null}],"b":"é"}"#.to_owned());
        assert_eq!(of(r#"{"b":"é","a":[1,{"x":true,"y":null}]}"#), form);
        assert_eq!(of("{ \"a\": [ 1 , {\"y\" : null,\n\"x\":true} ], \"b\": \"\\u00e9\" }"), form);
    }

    #[test]
    fn different_values_have_different_forms() {
        let large =
            ["12345678901234567890123", "12345678901234567890124", "1.2345678901234568e22", "1", "1.0", "\"1\""];
        let forms: std::collections::BTreeSet<_> = large.iter().map(|text| of(text)).collect();
        assert_eq!(forms.len(), large.len());
        assert_ne!(of(r#"["a","b"]"#), of(r#"["b","a"]"#));
    }

    #[test]
    fn what_can_be_understood_in_two_ways_has_none() {
        assert_eq!(of(r#"{"a":1,"a":2}"#), None);
        assert_eq!(of(r#"{"a":1,"\u0061":1}"#), None);
        assert_eq!(of(&format!("{}{}", "[".repeat(70), "]".repeat(70))), None);
    }
}

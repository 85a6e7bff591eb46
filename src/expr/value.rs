//! A JSON-like value that expressions read and make, converted once and then shared.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use minijinja::Value as Raw;
use minijinja::value::{DynObject, ValueKind};
use serde_json::{Map, Number, Value as Json};

use crate::expr::scope::{Fields, Lookup};

/// A value of an expression. Cloning shares it.
///
/// Whole numbers are exact from `i64::MIN` to `u64::MAX`; `1.0` stays `1.0`; fields keep their order.
#[derive(Clone, PartialEq)]
pub struct Value(pub(super) Raw);

impl Value {
    /// The value of nothing.
    pub fn null() -> Self {
        Self(Raw::from(()))
    }

    /// The same value as `json`.
    pub fn from_json(json: impl Borrow<Json>) -> Self {
        Self(raw_from_json(json.borrow()))
    }

    /// This value as JSON. A number that JSON cannot hold (not finite) becomes null.
    pub fn to_json(&self) -> Json {
        raw_to_json(&self.0)
    }

    /// A text.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(Raw::from(text.into()))
    }

    /// A list.
    pub fn from_list(items: Vec<Self>) -> Self {
        Self(Raw::from(items.into_iter().map(|item| item.0).collect::<Vec<_>>()))
    }

    /// An object with these fields, in this order; of two fields of one name the later counts.
    pub fn from_pairs<K: Into<String>>(pairs: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self(Raw::from_pairs(pairs.into_iter().map(|(key, value)| (key.into(), value.0))))
    }

    /// An object whose fields are looked up when they are asked for.
    pub fn from_lookup(lookup: Arc<dyn Lookup>) -> Self {
        Self(Raw::from_object(Fields(lookup)))
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        is_absent(&self.0)
    }

    /// Whether this counts as true: everything but null, `false`, zero, and the empty text, list and object.
    pub fn is_truthy(&self) -> bool {
        self.0.is_true()
    }

    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        self.0.as_str()
    }

    /// The items, if this is a list.
    pub fn as_list(&self) -> Option<Vec<Self>> {
        matches!(self.0.kind(), ValueKind::Seq | ValueKind::Iterable)
            .then(|| self.0.try_iter().into_iter().flatten().map(Self).collect())
    }

    /// The field `key`, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<Self> {
        (self.0.kind() == ValueKind::Map).then(|| self.0.as_object()?.get_value_by_str(key)).flatten().map(Self)
    }

    /// What this is, in the words of messages: `null`, `text`, `a number`, `a list`, `an object` or `true or false`.
    pub fn kind(&self) -> &'static str {
        kind_of(&self.0)
    }

    /// The rough size of this value as JSON, in bytes.
    pub fn weight(&self) -> usize {
        weigh(&self.0)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().fmt(f)
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        Self::from_json(json)
    }
}

/// Whether `value` is null or does not exist. Expressions make no difference between the two.
pub(super) fn is_absent(value: &Raw) -> bool {
    value.is_none() || value.is_undefined()
}

/// See [`Value::kind`].
pub(super) fn kind_of(value: &Raw) -> &'static str {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => "null",
        ValueKind::Bool => "true or false",
        ValueKind::Number => "a number",
        ValueKind::String | ValueKind::Bytes => "text",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        _ => "an object",
    }
}

pub(super) fn raw_from_json(json: &Json) -> Raw {
    match json {
        Json::Null => Raw::from(()),
        Json::Bool(value) => Raw::from(*value),
        Json::Number(number) => raw_from_number(number),
        Json::String(text) => Raw::from(text.as_str()),
        Json::Array(items) => Raw::from(items.iter().map(raw_from_json).collect::<Vec<_>>()),
        Json::Object(fields) => Raw::from_pairs(fields.iter().map(|(key, value)| (key.as_str(), raw_from_json(value)))),
    }
}

fn raw_from_number(number: &Number) -> Raw {
    if let Some(whole) = number.as_i64() {
        Raw::from(whole)
    } else if let Some(whole) = number.as_u64() {
        Raw::from(whole)
    } else {
        Raw::from(number.as_f64().unwrap_or(f64::NAN))
    }
}

pub(super) fn raw_to_json(value: &Raw) -> Json {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => number_to_json(value),
        ValueKind::Seq | ValueKind::Iterable => {
            Json::Array(value.try_iter().into_iter().flatten().map(|item| raw_to_json(&item)).collect())
        }
        ValueKind::Map => {
            Json::Object(fields(value).map(|(key, value)| (key, raw_to_json(&value))).collect::<Map<_, _>>())
        }
        _ => Json::String(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
    }
}

fn number_to_json(value: &Raw) -> Json {
    if !value.is_integer() {
        return f64::try_from(value.clone()).map_or(Json::Null, Json::from);
    }
    if let Some(whole) = value.as_i64() {
        return Json::from(whole);
    }
    u64::try_from(value.clone()).map_or(Json::Null, Json::from)
}

/// The fields of an object, keys as text.
pub(super) fn fields(value: &Raw) -> impl Iterator<Item = (String, Raw)> {
    let pairs = value.as_object().and_then(DynObject::try_iter_pairs);
    pairs.into_iter().flatten().map(|(key, value)| (key_text(&key), value))
}

fn key_text(key: &Raw) -> String {
    key.as_str().map_or_else(|| raw_to_json(key).to_string(), str::to_owned)
}

fn weigh(value: &Raw) -> usize {
    const NUMBER: usize = 8;
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            2 + value.try_iter().into_iter().flatten().map(|item| weigh(&item) + 1).sum::<usize>()
        }
        ValueKind::Map => 2 + fields(value).map(|(key, value)| key.len() + weigh(&value) + 4).sum::<usize>(),
        ValueKind::Number => NUMBER,
        _ => value.as_str().map_or(4, |text| text.len() + 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde_json::json;

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Json::from),
            any::<String>().prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(Json::from),
                btree_map(any::<String>(), inner, 0..6).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn json_survives_the_way_through_a_value(json in any_json()) {
            let back = Value::from_json(&json).to_json();
            prop_assert_eq!(back.to_string(), json.to_string());
        }

        #[test]
        fn the_weight_is_near_the_length_of_the_json(json in any_json()) {
            let (weight, length) = (Value::from_json(&json).weight(), json.to_string().len());
            prop_assert!(weight <= 8 * length + 8 && length <= 6 * weight + 320, "{} {}", weight, length);
        }
    }

    #[test]
    fn numbers_keep_their_form() {
        for text in ["1", "1.0", "-0.0", "18446744073709551615", "-9223372036854775808", "1e300"] {
            let json: Json = serde_json::from_str(text).unwrap();
            assert_eq!(Value::from_json(&json).to_json().to_string(), json.to_string());
        }
    }

    #[test]
    fn fields_keep_their_order() {
        let value = Value::from_pairs([("z", Value::null()), ("a", Value::from_text("x"))]);
        assert_eq!(value.to_json().to_string(), r#"{"z":null,"a":"x"}"#);
        assert_eq!(value.get("a"), Some(Value::from_text("x")));
        assert_eq!(value.get("b"), None);
        assert_eq!(Value::from_text("a").get("a"), None);
    }

    #[test]
    fn kinds_are_named_as_people_name_them() {
        let kinds = [json!(null), json!(true), json!(1), json!("a"), json!([]), json!({})]
            .map(|json| Value::from_json(json).kind());
        assert_eq!(kinds, ["null", "true or false", "a number", "text", "a list", "an object"]);
    }

    #[test]
    fn only_lists_have_items() {
        let list = Value::from_json(json!([1, "a"]));
        assert_eq!(list.as_list().unwrap(), [Value::from_json(json!(1)), Value::from_text("a")]);
        assert_eq!(Value::from_json(json!({"a": 1})).as_list(), None);
        assert_eq!(Value::from_list(list.as_list().unwrap()), list);
    }
}

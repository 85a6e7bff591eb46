//! Flags: values that workflows ask for, the same or not for every caller.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::document::node::{Field, Node, Value};
use crate::document::reader::Reader;
use crate::model::code;
use crate::registry::settings::whole;

/// The flags by name.
pub type Flags = BTreeMap<Arc<str>, Flag>;

/// A value that may differ from caller to caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Flag {
    /// What it is for so many percent of the callers.
    on: Json,
    /// What it is for the others.
    off: Json,
    /// For how many percent of the callers it is on.
    rollout: u64,
}

impl Flag {
    /// What it is for `caller`: always the same, as long as the registry says the same.
    fn decide(&self, name: &str, caller: &str) -> &Json {
        // FNV-1a; nobody gains anything by finding a name that is on the other side.
        let bytes = name.bytes().chain([0]).chain(caller.bytes());
        let hash = bytes
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        // The low bits of this hash hardly differ for names that differ in their last letter.
        if (hash >> 32) % 100 < self.rollout { &self.on } else { &self.off }
    }
}

/// All flags as they are for `caller`.
pub fn decide(flags: &Flags, caller: &str) -> Json {
    let decided = flags.iter().map(|(name, flag)| (name.to_string(), flag.decide(name, caller).clone()));
    Json::Object(decided.collect::<Map<_, _>>())
}

/// Reads `[flags]`; those of a later file replace those of the same name.
pub(super) fn read(reader: &mut Reader, node: &Node, flags: &mut Flags) {
    let Some(mut table) = reader.table(node, "flags") else { return };
    for field in table.rest() {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        if !field.key.chars().all(is_name) || field.key.starts_with(|first: char| first.is_ascii_digit()) {
            let message = format!("`{}` cannot be a flag's name", field.key);
            reader.error(code::WRONG_VALUE, field.key_span.clone(), message).help =
                Some("letters, digits and `_`, a letter first".to_owned());
        } else if let Some(flag) = flag(reader, field) {
            flags.insert(Arc::from(field.key.as_str()), flag);
        }
    }
}

/// A plain value, or `{ rollout, on, off }`.
fn flag(reader: &mut Reader, field: &Field) -> Option<Flag> {
    let what = format!("flags.{}", field.key);
    if !matches!(field.value.value, Value::Table(_)) {
        let value = field.value.to_json();
        return Some(Flag { on: value.clone(), off: value, rollout: 100 });
    }
    let mut table = reader.table(&field.value, &what)?;
    if table.key_span("rollout").is_none() {
        reader.error(code::MISSING, field.key_span.clone(), format!("`{what}` needs `rollout`")).help =
            Some("for how many percent of the callers it is on: `{ rollout = 25 }`".to_owned());
    }
    let rollout = whole(reader, &mut table, "rollout", 0..=100);
    let (on, off) = (table.take("on").map(Node::to_json), table.take("off").map(Node::to_json));
    table.finish(reader);
    let rollout: usize = rollout?;
    Some(Flag { on: on.unwrap_or(Json::Bool(true)), off: off.unwrap_or(Json::Bool(false)), rollout: rollout as u64 })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_flag_is_on_for_about_as_many_as_it_says_and_always_for_the_same() {
        let flag = Flag { on: json!(true), off: json!(false), rollout: 25 };
        let callers: Vec<_> = (0..2_000).map(|number| format!("caller-{number}")).collect();
        let on = callers.iter().filter(|caller| *flag.decide("new", caller) == json!(true)).count();
        assert!((400..600).contains(&on), "{on} of 2,000");
        let other = callers.iter().filter(|caller| flag.decide("new", caller) == flag.decide("other", caller)).count();
        assert!(other < 1_500, "two flags are on for different callers: {other}");
    }
}

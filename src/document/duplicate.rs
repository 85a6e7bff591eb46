//! A key given twice, where the parser lets it pass.

use std::collections::HashSet;

use crate::document::fail::Fail;
use crate::document::node::Field;
use crate::model::code;

/// The first key of `fields` that stands there a second time, as a failure at the second place.
pub(super) fn find(fields: &[Field]) -> Option<Fail> {
    let mut seen = HashSet::with_capacity(fields.len());
    let second = fields.iter().find(|field| !seen.insert(field.key.as_str()))?;
    let message = format!("the key `{}` is given twice", second.key);
    Some(Fail::new(code::DUPLICATE, second.key_span.clone(), message).help("keep one of the two"))
}

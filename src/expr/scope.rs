//! What an expression sees: objects whose fields are looked up only when they are asked for.

use std::fmt;
use std::sync::Arc;

use minijinja::Value as Raw;
use minijinja::value::{Enumerator, Object};

use crate::expr::value::Value;

/// An object whose fields are looked up lazily: the root scope, and roots such as `steps`.
///
/// The same name must always give an equal value: results are shared and may be looked up again.
pub trait Lookup: Send + Sync + fmt::Debug + 'static {
    /// The value of a field, or `None` if there is no such field.
    fn get(&self, name: &str) -> Option<Value>;
    /// The names of all fields, for suggestions and for values that are used as a whole.
    fn names(&self) -> Vec<String>;
}

/// A [`Lookup`] as the engine takes it.
#[derive(Debug)]
pub(super) struct Fields(pub(super) Arc<dyn Lookup>);

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Raw) -> Option<Raw> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Raw> {
        self.0.get(key).map(|value| value.0)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.names().into_iter().map(Raw::from).collect())
    }
}

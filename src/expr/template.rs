//! A tree of values with texts at its leaves, such as a step's `args`.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::expr::bounds::settle;
use crate::expr::error::Error;
use crate::expr::expression::Reference;
use crate::expr::scope::Lookup;
use crate::expr::text::Text;
use crate::expr::value::Value;

/// A value in which texts may hold expressions.
#[derive(Debug, Clone)]
pub enum Template {
    /// A constant.
    Value(Value),
    /// A text.
    Text(Text),
    /// A list.
    List(Vec<Self>),
    /// An object, its fields in order.
    Table(Vec<(String, Self)>),
}

impl Template {
    /// Its value.
    pub fn eval(&self, scope: &Arc<dyn Lookup>) -> Result<Value, Error> {
        let value = self.compute(scope)?;
        // Each text is bounded by itself; only together can they be too much.
        if matches!(self, Self::List(_) | Self::Table(_)) {
            settle(value.0.clone())
                .map_err(|failure| Error::new("", failure.detail().unwrap_or("the result is wrong")))?;
        }
        Ok(value)
    }

    /// What it refers to, in the order of its texts.
    pub fn references(&self) -> Vec<&Reference> {
        let mut references = Vec::new();
        self.collect(&mut references);
        references
    }

    /// The value that this is without being computed, if it has no expressions.
    pub fn as_literal(&self) -> Option<Json> {
        match self {
            Self::Value(value) => Some(value.to_json()),
            Self::Text(text) => text.as_literal().map(Json::from),
            Self::List(items) => items.iter().map(Self::as_literal).collect(),
            Self::Table(fields) => fields.iter().map(|(key, field)| Some((key.clone(), field.as_literal()?))).collect(),
        }
    }

    fn compute(&self, scope: &Arc<dyn Lookup>) -> Result<Value, Error> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Text(text) => text.eval(scope),
            Self::List(items) => {
                let items = items.iter().map(|item| item.compute(scope));
                items.collect::<Result<_, _>>().map(Value::from_list)
            }
            Self::Table(fields) => {
                let fields = fields.iter().map(|(key, field)| Ok((key.clone(), field.compute(scope)?)));
                fields.collect::<Result<Vec<_>, _>>().map(Value::from_pairs)
            }
        }
    }

    fn collect<'a>(&'a self, references: &mut Vec<&'a Reference>) {
        match self {
            Self::Value(_) => {}
            Self::Text(text) => references.extend(text.references()),
            Self::List(items) => items.iter().for_each(|item| item.collect(references)),
            Self::Table(fields) => fields.iter().for_each(|(_, field)| field.collect(references)),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::fixture::{scope, scope_of};
    use serde_json::json;

    fn text(source: &str) -> Template {
        Template::Text(Text::parse(source).unwrap())
    }

    #[test]
    fn every_leaf_is_computed_and_keeps_its_place() {
        let template = Template::Table(vec![
            ("to".to_owned(), text("$steps.contact.output.phone")),
            ("lines".to_owned(), Template::List(vec![text("n: ${input.count}"), text("$input.count"), text("as is")])),
            ("kept".to_owned(), Template::Value(Value::from_json(json!({ "a": "$input" })))),
        ]);
        let value = template.eval(&scope()).unwrap().to_json();
        assert_eq!(value.to_string(), r#"{"to":"+4930999","lines":["n: 3",3,"as is"],"kept":{"a":"$input"}}"#);
        let paths: Vec<_> = template.references().iter().map(|reference| reference.path.join(".")).collect();
        assert_eq!(paths, ["steps.contact.output.phone", "input.count", "input.count"]);
        assert_eq!(template.as_literal(), None);
    }

    #[test]
    fn a_template_without_expressions_is_its_literal() {
        let fields = vec![("a".to_owned(), Template::List(vec![text("$$5"), Template::Value(Value::null())]))];
        assert_eq!(Template::Table(fields).as_literal(), Some(json!({ "a": ["$5", null] })));
    }

    #[test]
    fn templates_may_be_shared_between_threads() {
        fn check<T: Send + Sync + Clone + 'static>() {}
        check::<Template>();
        check::<crate::expr::expression::Expr>();
    }

    #[test]
    fn leaves_that_are_too_much_together_are_refused() {
        let scope = scope_of(json!({ "input": { "a": "x".repeat(1024 * 1024) } }));
        let many = |count| Template::List(vec![text("$input.a"); count]);
        assert!(many(15).eval(&scope).is_ok());
        assert_eq!(many(17).eval(&scope).unwrap_err().to_string(), "the result is larger than 16 MiB");
    }
}

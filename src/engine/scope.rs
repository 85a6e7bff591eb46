//! What expressions see while a workflow runs: `input`, `run`, `steps`, the item of a `for_each`, `result` and `error`.
//!
//! A scope is a chain of layers that share what lies below them. Entering a block, an item or a `catch` adds a layer and
//! copies nothing; `steps` is looked up along the chain only when an expression asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::event::Failure;
use crate::expr::expression::Expr;
use crate::expr::scope::Lookup;
use crate::expr::template::Template;
use crate::expr::value::Value;

/// The steps of one block that are over, by id.
pub(super) type EndedSteps = BTreeMap<Arc<str>, Value>;

/// What an expression sees. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Scope(Arc<Layer>);

#[derive(Debug)]
struct Layer {
    names: Names,
    below: Option<Scope>,
}

#[derive(Debug)]
enum Names {
    /// One name and its value.
    One(Arc<str>, Value),
    /// The steps of a block that are over.
    Steps(Arc<EndedSteps>),
}

impl Scope {
    /// The outermost scope, with the input and the run's identity.
    pub(super) fn outermost(input: Value, run: Value) -> Self {
        let lowest = Self(Arc::new(Layer { names: Names::One("run".into(), run), below: None }));
        lowest.with("input", input)
    }

    /// This scope with one more name.
    pub(super) fn with(&self, name: impl Into<Arc<str>>, value: Value) -> Self {
        self.above(Names::One(name.into(), value))
    }

    /// This scope with the steps of a block that are over.
    pub(super) fn with_steps(&self, ended: &Arc<EndedSteps>) -> Self {
        self.above(Names::Steps(Arc::clone(ended)))
    }

    /// The value of `what` of a step, or of the workflow if it is no step's.
    pub(super) fn value(&self, template: &Template, what: &str, step: Option<&str>) -> Result<Value, Box<Failure>> {
        template.eval(&self.as_lookup()).map_err(|error| Failure::of_expression(&error, what, step).into())
    }

    /// Whether a condition of a step, its `what`, holds.
    pub(super) fn holds(&self, condition: &Expr, what: &str, step: &str) -> Result<bool, Box<Failure>> {
        condition.test(&self.as_lookup()).map_err(|error| Failure::of_expression(&error, what, Some(step)).into())
    }

    fn as_lookup(&self) -> Arc<dyn Lookup> {
        Arc::new(self.clone())
    }

    fn above(&self, names: Names) -> Self {
        Self(Arc::new(Layer { names, below: Some(self.clone()) }))
    }

    fn layers(&self) -> impl Iterator<Item = &Names> {
        std::iter::successors(Some(self), |scope| scope.0.below.as_ref()).map(|scope| &scope.0.names)
    }
}

impl Lookup for Scope {
    fn get(&self, name: &str) -> Option<Value> {
        if name == "steps" {
            return Some(Value::from_lookup(Arc::new(Steps(self.clone()))));
        }
        self.layers().find_map(|names| match names {
            Names::One(known, value) if **known == *name => Some(value.clone()),
            _ => None,
        })
    }

    fn names(&self) -> Vec<String> {
        let mut names = BTreeSet::from(["steps".to_owned()]);
        for layer in self.layers() {
            if let Names::One(name, _) = layer {
                names.insert(name.to_string());
            }
        }
        names.into_iter().collect()
    }
}

/// The root `steps`: every step that is over in the block at hand or in one around it.
#[derive(Debug)]
struct Steps(Scope);

impl Lookup for Steps {
    fn get(&self, id: &str) -> Option<Value> {
        self.0.layers().find_map(|names| match names {
            Names::Steps(ended) => ended.get(id).cloned(),
            Names::One(..) => None,
        })
    }

    fn names(&self) -> Vec<String> {
        let mut ids = BTreeSet::new();
        for layer in self.0.layers() {
            if let Names::Steps(ended) = layer {
                ids.extend(ended.keys().map(ToString::to_string));
            }
        }
        ids.into_iter().collect()
    }
}

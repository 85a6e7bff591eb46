//! The keys of the language as data: their canonical order, what may stand under each, what each is for.
//!
//! The readers in `authored` decide what is right; a test holds that they ask for exactly these keys. Deriving a schema from
//! types was the alternative, but the readers take a tree apart by hand (so that every mistake is found, with its place), and
//! types made for a schema alone would be a third list of keys that nobody checks.

mod keys;
mod schema;

pub use schema::schema;

/// A kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The whole file.
    Workflow,
    /// A step.
    Step,
    /// A step that stands under a name, which is its id: a branch, an undo, `on_failure`.
    NamedStep,
    /// `annotations`.
    Annotations,
    /// `join` as a table.
    Join,
    /// `retry` as a table.
    Retry,
    /// `repeat`.
    Repeat,
    /// An entry of `fallback`.
    Fallback,
    /// An entry of `catch`.
    Catch,
    /// An entry of `switch` with a condition.
    Case,
    /// The last entry of `switch`.
    Otherwise,
    /// `wait` as a table.
    Wait,
    /// `limits`.
    Limits,
    /// `budget`.
    Budget,
    /// `guards`.
    Guards,
    /// An entry of `triggers`.
    Trigger,
    /// `verify` of a webhook.
    Verify,
    /// `cache` as a table.
    Cache,
    /// `check`.
    Check,
}

/// A key of a kind of table.
#[derive(Debug)]
pub struct Key {
    /// How it is written.
    pub name: &'static str,
    /// What may stand there.
    pub shape: Shape,
    /// What it is for, for people.
    pub about: &'static str,
    /// Whether it must be there.
    pub is_required: bool,
}

/// What may stand under a key.
#[derive(Debug)]
pub enum Shape {
    /// Any text.
    Text,
    /// Text of this form.
    Pattern(&'static str),
    /// One of these words.
    Words(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
    /// A whole number within these bounds.
    Count(u64, u64),
    /// A length of time.
    Duration,
    /// Any value; text in it may hold expressions.
    Value,
    /// Text that is an expression.
    Expression,
    /// An expression that is true or false.
    Condition,
    /// The short form of an object's schema, or a whole one.
    Fields,
    /// A type, the short form, or a whole schema.
    Schema,
    /// A table of this kind.
    Table(Kind),
    /// A list of at least so many of the same.
    List(&'static Self, u64),
    /// A table whose keys are the author's.
    Map(&'static Self),
    /// Any of these.
    Either(&'static [Self]),
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 19] = [
        Self::Workflow,
        Self::Step,
        Self::NamedStep,
        Self::Annotations,
        Self::Join,
        Self::Retry,
        Self::Repeat,
        Self::Fallback,
        Self::Catch,
        Self::Case,
        Self::Otherwise,
        Self::Wait,
        Self::Limits,
        Self::Budget,
        Self::Guards,
        Self::Trigger,
        Self::Verify,
        Self::Cache,
        Self::Check,
    ];

    /// The keys in their canonical order.
    pub fn keys(self) -> &'static [Key] {
        keys::of(self)
    }

    /// Whether a table of this kind must have `key`.
    pub fn requires(self, key: &Key) -> bool {
        key.is_required && self != Self::NamedStep
    }

    /// The key of this name, with its place in the order.
    pub fn key(self, name: &str) -> Option<(usize, &'static Key)> {
        self.keys().iter().enumerate().find(|(_, key)| key.name == name)
    }
}

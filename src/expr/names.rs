//! The filters, tests and functions that expressions may use, so that a wrong name is found when a file is read.

/// Every filter.
pub(super) const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "flatten",
    "float",
    "from_json",
    "fromjson",
    "groupby",
    "hash",
    "indent",
    "int",
    "items",
    "join",
    "json",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pick",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "zip",
];

/// Filters of the engine that expressions may not use: they make much out of little, show Rust's debug output, or mean
/// something only where HTML is escaped.
pub(super) const REMOVED_FILTERS: &[&str] = &["format", "pprint", "safe", "slice"];

/// Every test that may stand behind `is`.
pub(super) const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];

/// Every function.
pub(super) const FUNCTIONS: &[&str] = &["dict", "range"];

/// Functions of the engine that expressions may not use: one shows the whole scope, one is a variable.
pub(super) const REMOVED_FUNCTIONS: &[&str] = &["debug", "namespace"];

/// The methods of objects.
pub(super) const OBJECT_METHODS: &[&str] = &["get", "items", "keys", "values"];

/// The methods of texts.
pub(super) const TEXT_METHODS: &[&str] = &[
    "capitalize",
    "endswith",
    "join",
    "lower",
    "lstrip",
    "replace",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "title",
    "upper",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::engine::ENGINE;
    use minijinja::{ErrorKind, Value};

    #[test]
    fn the_engine_has_every_filter_test_and_function_named_here_and_none_that_is_removed() {
        let has_filter = |name: &&str| {
            let outcome = ENGINE.empty_state().apply_filter(name, &[]);
            outcome.map_or_else(|failure| failure.kind() != ErrorKind::UnknownFilter, |_| true)
        };
        let has_test = |name: &&str| {
            let outcome = ENGINE.empty_state().perform_test(name, &[Value::from(1)]);
            outcome.map_or_else(|failure| failure.kind() != ErrorKind::UnknownTest, |_| true)
        };
        let functions: Vec<_> = ENGINE.globals().map(|(name, _)| name).collect();
        assert_eq!(FILTERS.iter().filter(|name| !has_filter(name)).count(), 0);
        assert_eq!(REMOVED_FILTERS.iter().filter(|name| has_filter(name)).count(), 0);
        assert_eq!(TESTS.iter().filter(|name| !has_test(name)).count(), 0);
        assert_eq!(functions, FUNCTIONS);
    }
}

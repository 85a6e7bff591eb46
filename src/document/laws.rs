//! What holds for every document, whatever its format.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Value as Json, json};

use crate::document::format::Format;
use crate::document::node::{Node, Value};
use crate::document::parse::{MAX_BYTES, parse};
use crate::model::code;
use crate::model::problem::{Problem, Source};

const FORMATS: [Format; 3] = [Format::Yaml, Format::Json, Format::Toml];

fn read(format: Format, text: &str) -> Result<Node, Problem> {
    parse(&Source::new("file", text), format)
}

fn json_of(format: Format, text: &str) -> Json {
    read(format, text).unwrap_or_else(|problem| panic!("{problem}\n{text}")).to_json()
}

fn problem_of(format: Format, text: &str) -> String {
    read(format, text).expect_err(text).to_string()
}

#[test]
fn plain_yaml_scalars_are_what_they_look_like() {
    let text =
        "[012, 0755, 08, +5, 1.10, 1e3, 1_000, 0x1F, .5, -0, 12345678901234567890123, no, Yes, on, True, Null, .inf]";
    for scalar in text.trim_matches(['[', ']']).split(", ") {
        assert_eq!(json_of(Format::Yaml, &format!("a: {scalar}")), json!({"a": scalar}));
    }
    assert_eq!(
        json_of(Format::Yaml, "[1, -7, 2.5, true, false, null, ~, 'a', \"1\", !!str 5]"),
        json!([1, -7, 2.5, true, false, null, null, "a", "1", "5"])
    );
    assert_eq!(json_of(Format::Yaml, "012: 1\n200: x\n"), json!({"012": 1, "200": "x"}));
}

#[test]
fn anchors_and_merge_keys_work() {
    assert_eq!(
        json_of(Format::Yaml, "base: &b {a: 012, b: 2}\nuse:\n  <<: *b\n  b: 3\nagain: *b\n"),
        json!({"base": {"a": "012", "b": 2}, "use": {"b": 3, "a": "012"}, "again": {"a": "012", "b": 2}})
    );
}

#[test]
fn json_may_have_comments_and_trailing_commas_but_not_less() {
    assert_eq!(json_of(Format::Json, "{ // note\n \"a\": [1, 2,], /* x */ }"), json!({"a": [1, 2]}));
    assert_eq!(
        problem_of(Format::Json, "{\"a\": 1 \"b\": 2}"),
        "file:1:8: error[MO1002]: a comma is missing; put a `,` between the two values"
    );
    assert_eq!(problem_of(Format::Json, "{a: 1}"), "file:1:2: error[MO1002]: a key must be in double quotes; quote it");
    assert_eq!(
        problem_of(Format::Json, "{\"a\": 1,\n \"a\": 2}"),
        "file:2:2: error[MO1006]: the key `a` is given twice; keep one of the two"
    );
}

#[test]
fn toml_keeps_the_order_and_the_places_of_its_keys() {
    let source = Source::new("file", "zeta = 1\n[servers.github]\ncommand = 'npx'\nwhen = 2026-01-02\n");
    let root = parse(&source, Format::Toml).expect("TOML");
    assert_eq!(
        serde_json::to_string(&root.to_json()).expect("JSON"),
        r#"{"zeta":1,"servers":{"github":{"command":"npx","when":"2026-01-02"}}}"#
    );
    let github = root.get("servers").and_then(|servers| servers.get("github")).expect("a server");
    assert_eq!(&source.text[github.span.clone()], "[servers.github]");
    assert_eq!(
        problem_of(Format::Toml, "a = 1\na = 2\n"),
        "file:2:1: error[MO1006]: the key `a` is given twice; keep one of the two"
    );
    assert_eq!(
        problem_of(Format::Toml, "a = 99999999999999999999\n"),
        "file:1:5: error[MO1004]: not a number that fits into 64 bits; write it as text, in quotes"
    );
}

#[test]
fn a_yaml_mistake_is_reported_at_its_place_with_what_to_do() {
    for (text, expected) in [
        (
            "a: {to: ${steps.x.y}}\n",
            "1:10: error[MO1002]: while parsing a flow mapping, did not find expected ',' or '}'; quote the value, or write `$name.path` without braces",
        ),
        (
            "ä: ${y ? x : z}\n",
            "1:12: error[MO1002]: a `:` where YAML allows none; quote the value, or write `$name.path` without braces",
        ),
        (
            "a: {{ x }}\n",
            "1:5: error[MO1002]: a key must be text; quote the value; expressions are written `${ name.path }`",
        ),
        ("a: @x\n", "1:4: error[MO1002]: a value cannot begin with '@' here; quote the value"),
        ("a:\n\t- b\n", "2:2: error[MO1002]: a tab where only spaces may indent; indent with spaces"),
        ("a: 1\na: 2\n", "2:1: error[MO1006]: the key `a` is given twice; keep one of the two"),
        ("a: *nope\n", "1:4: error[MO1002]: an `*alias` without an `&anchor` above; quote the value"),
        ("a: 1\n---\nb: 2\n", "2:1: error[MO1002]: a second document begins here; put it into a file of its own"),
        (
            "steps:\n- a: b\n  - c\n",
            "3:5: error[MO1002]: while parsing a block mapping, did not find expected key; check the indentation, and that every bracket and quote above is closed",
        ),
    ] {
        assert_eq!(problem_of(Format::Yaml, text), format!("file:{expected}"));
    }
}

#[test]
fn a_byte_order_mark_is_skipped_and_places_stay_right() {
    for (format, text) in [
        (Format::Yaml, "\u{feff}a: x\n"),
        (Format::Json, "\u{feff}{\"a\": \"x\"}"),
        (Format::Toml, "\u{feff}a = 'x'\n"),
    ] {
        let root = read(format, text).expect("it is right");
        assert_eq!(root.to_json(), json!({"a": "x"}));
        assert!(text[root.get("a").expect("it is there").span.clone()].contains('x'));
    }
}

#[test]
fn bombs_are_refused_quickly() {
    let many = |part: &str| part.repeat(100_000);
    let aliases = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let last = format!("*a{}", level - 1);
        text + &format!("a{level}: &a{level} [{}]\n", [last.as_str(); 9].join(", "))
    });
    for (format, text) in [
        (Format::Yaml, many("[")),
        (Format::Yaml, many("{a: ")),
        (Format::Yaml, many("- ")),
        (Format::Yaml, (0..1_000).map(|depth| " ".repeat(depth) + "a:\n").collect::<Vec<_>>().concat()),
        (Format::Yaml, aliases),
        (Format::Json, many("[")),
        (Format::Json, many("{\"a\":")),
        (Format::Json, format!("{}{}", "[".repeat(100), "]".repeat(100))),
        (Format::Toml, format!("a = {}", many("["))),
        (Format::Toml, format!("a = {}", many("{a="))),
        (Format::Toml, format!("{}a = 1", many("a."))),
        (Format::Toml, format!("[{}a]", many("a."))),
        (Format::Toml, format!("a = {}{}", "[".repeat(70), "]".repeat(70))),
        (Format::Yaml, " ".repeat(MAX_BYTES + 1)),
    ] {
        let begun = Instant::now();
        let problem = read(format, &text).expect_err("a bomb");
        assert_eq!(problem.code, code::TOO_LARGE, "{format:?} {}: {problem}", &text[..20]);
        assert!(begun.elapsed().as_secs() < 5, "{format:?} {} took {:?}", &text[..20], begun.elapsed());
    }
}

#[test]
fn odd_megabytes_are_answered_quickly() {
    for part in [
        "? ", "&a ", "&a", "*a ", "!", "!a ", "a: ", "\"", "'", "a\n", "- a\n", "- &a\n", "[],", "{},", "|\n", "# a\n",
        "\t", ": ", "%a\n", "a.", "\\", "[a]\n",
    ] {
        let text = part.repeat(MAX_BYTES / part.len() / 4);
        for format in FORMATS {
            let begun = Instant::now();
            let _ = read(format, &text);
            assert!(begun.elapsed().as_secs() < 5, "{format:?} {part:?} took {:?}", begun.elapsed());
        }
    }
}

#[test]
fn sixty_four_levels_are_enough_and_fit_a_small_stack() {
    let nested = format!("{}{}", "[".repeat(60), "]".repeat(60));
    for (format, text) in
        [(Format::Yaml, nested.clone()), (Format::Json, nested.clone()), (Format::Toml, format!("a = {nested}"))]
    {
        let thread = std::thread::Builder::new()
            .stack_size(1 << 20)
            .spawn(move || read(format, &text).is_ok())
            .expect("a thread");
        assert!(thread.join().expect("it does not panic"), "{format:?}");
    }
}

fn leaf() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Json::from),
        "[ -~äö\n\t\u{85}\u{2028}]{0,12}".prop_map(Json::from),
        "(yes|no|0[0-9]{3}|[+-]?[0-9.e]{1,6}|~|null|True|<<|=)".prop_map(Json::from),
    ]
}

fn tree() -> impl Strategy<Value = Json> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-zA-Z0-9 .~$-]{0,6}", inner, 0..4)
                .prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    })
}

/// TOML has no null.
fn without_null(value: Json) -> Json {
    match value {
        Json::Null => Json::from("null"),
        Json::Array(items) => items.into_iter().map(without_null).collect(),
        Json::Object(fields) => {
            Json::Object(fields.into_iter().map(|(key, value)| (key, without_null(value))).collect())
        }
        other => other,
    }
}

/// Every span lies within the text, and a scalar's span holds the scalar as it is written.
fn check_spans(node: &Node, source: &Arc<Source>) {
    let written = source.text.get(node.span.clone()).expect("a span on character boundaries");
    match &node.value {
        Value::Null => assert!(matches!(written, "" | "null" | "~")),
        Value::Bool(value) => assert_eq!(written, value.to_string()),
        Value::Number(number) => assert_eq!(number.to_string(), written),
        Value::Text(text) => {
            assert!(written == text || serde_json::from_str::<String>(written).expect("a text") == *text, "{written}");
        }
        Value::List(items) => items.iter().for_each(|item| check_spans(item, source)),
        Value::Table(fields) => fields.iter().for_each(|field| {
            assert!(source.text[field.key_span.clone()].contains(&field.key));
            check_spans(&field.value, source);
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,60}", lines in "([ -]{0,4}[a-c&*!?:|>'\"\\[\\]{}#%@,0-9$~<=.\t\r-]{0,8}\n){0,8}") {
        for format in FORMATS {
            for text in [&text, &lines] {
                match read(format, text) {
                    Ok(node) => { let _ = node.to_json(); }
                    Err(problem) => prop_assert!(text.get(problem.span.clone()).is_some(), "{problem}"),
                }
            }
        }
    }

    #[test]
    fn a_value_is_the_same_in_every_format(value in tree()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        for format in [Format::Json, Format::Yaml] {
            let source = Source::new("file", text.clone());
            let node = parse(&source, format).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
            check_spans(&node, &source);
            prop_assert_eq!(&node.to_json(), &value);
        }
        let table = json!({"value": without_null(value)});
        prop_assert_eq!(json_of(Format::Toml, &toml::to_string(&table).unwrap()), table);
    }
}

//! Scalars as references, expressions, templates and literals.

use super::*;
use crate::expr::fixture::scope;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn value(source: &str) -> Json {
    let evaluated = Text::parse(source).and_then(|text| text.eval(&scope()));
    evaluated.unwrap_or_else(|error| panic!("{source}: {error}")).to_json()
}

#[track_caller]
fn check_values(table: &[(&str, Json)]) {
    for (source, expected) in table {
        assert_eq!(value(source).to_string(), expected.to_string(), "{source}");
    }
}

#[test]
fn a_whole_reference_or_expression_keeps_its_type() {
    check_values(&[
        ("$input.count", json!(3)),
        ("$input.rate", json!(1.0)),
        ("$input.aspects", json!({ "market": ["price"], "legal": [] })),
        ("$input.items[0].sku", json!("a")),
        ("$input.aspects['market'][0]", json!("price")),
        ("$input.aspects[input.side]", json!(["price"])),
        ("$input.nick", json!(null)),
        ("${input.count}", json!(3)),
        ("${-input.count}", json!(-3)),
        ("${ {'a': {'b': '}'}} }", json!({ "a": { "b": "}" } })),
        ("$index", json!(0)),
    ]);
}

#[test]
fn within_text_values_are_written() {
    check_values(&[
        ("${input.count}!", json!("3!")),
        ("${input.count} ", json!("3 ")),
        ("a${input.nick}b${input.dry_run}c${input.rate}", json!("abfalsec1.0")),
        ("x ${input.aspects} ${'}'} y", json!(r#"x {"market":["price"],"legal":[]} } y"#)),
        ("${-input.count} ${'ü'}", json!("-3 ü")),
        ("${'x' if input.nope}y", json!("y")),
        ("<b>${'<&>'}", json!("<b><&>")),
    ]);
}

#[test]
fn other_dollars_and_braces_are_literal() {
    for (source, expected) in [
        ("", ""),
        ("$5", "$5"),
        ("$HOME/x", "$HOME/x"),
        ("$$input.phone", "$input.phone"),
        ("costs $$5 and $6 $", "costs $5 and $6 $"),
        ("$${input.phone} $$$$", "${input.phone} $$"),
        ("$input.phone is", "$input.phone is"),
        ("{{ input.phone }} {#x} {a}}", "{{ input.phone }} {#x} {a}}"),
        ("ends\n\n", "ends\n\n"),
    ] {
        let text = Text::parse(source).unwrap();
        assert_eq!(text.as_literal(), Some(expected), "{source}");
        assert_eq!(text.eval(&scope()).unwrap(), Value::from_text(expected));
        assert!(text.references().is_empty());
    }
    assert_eq!(value("$$${input.count}$$ $$x$"), json!("$3$ $x$"));
}

#[test]
fn blocks_loop_and_choose_and_leave_no_blank_lines() {
    let source = "\
Found for \"${input.phone}\":
{% for item in input.items if item.qty > 0 %}
${loop.index}. ${item.sku} (${item.price})${',' if not loop.last}
{% endfor %}
{% if steps.speech.output %}
${steps.speech.output.text}
{% elif input.nope %}
never
{% else %}
${item.sku}
{% endif %}
";
    assert_eq!(value(source), json!("Found for \"+4930123\":\n1. a (1.5),\n2. b (4.0)\nc\n"));
    assert_eq!(value("{% for k, v in input.aspects|items %}${k}=${v|length} {% endfor %}"), json!("market=1 legal=0 "));
    assert_eq!(value("{% for x in [1, 2, 3] %}{% if x == 2 %}{% continue %}{% endif %}${x}{% endfor %}"), json!("13"));
}

#[test]
fn the_names_of_loops_are_no_references() {
    let source = "{% for item in steps.a.output.list %}${item.x}{% endfor %}${item.y}{% if steps.b.output %}${steps.b.output.z}{% endif %}";
    let text = Text::parse(source).unwrap();
    let listed: Vec<_> =
        text.references().iter().map(|reference| (reference.path.join("."), reference.guarded)).collect();
    let expected =
        [("steps.a.output.list", false), ("item.y", false), ("steps.b.output", true), ("steps.b.output.z", true)];
    assert_eq!(listed, expected.map(|(path, guarded)| (path.to_owned(), guarded)));
    let span = text.references()[1].span.clone().unwrap();
    assert_eq!(&source[span], "item.y");
}

#[test]
fn places_count_from_the_start_of_the_text() {
    let whole = Text::parse("${ !input.phone && $steps.a.output }").unwrap();
    let spans: Vec<_> = whole.references().iter().map(|reference| reference.span.clone().unwrap()).collect();
    assert_eq!(
        spans.iter().map(|span| &whole.source()[span.clone()]).collect::<Vec<_>>(),
        ["input.phone", "steps.a.output"]
    );
    let path = Text::parse("$input.phone").unwrap();
    assert_eq!(path.references()[0].span, Some(1..12));
}

/// Each row: source, message, the part of the source that is marked, help.
#[test]
fn mistakes_are_marked() {
    const LITERAL: &str = "texts have `{% for %}` and `{% if %}`; write `${'{%'}` for a literal `{%`";
    for (source, message, marked, help) in [
        ("a ${input.phon} b", "`input` has no field `phon`", "input.phon", "did you mean `phone`?"),
        ("$input.phon", "`input` has no field `phon`", "input.phon", "did you mean `phone`?"),
        (
            "a\nb $$ ${$steps.contact.output.nam} c",
            "`steps.contact.output` has no field `nam`",
            "steps.contact.output.nam",
            "did you mean `name`?",
        ),
        ("{% for o in input.items %}${o.sk}{% endfor %}", "`o` has no field `sk`", "o.sk", "did you mean `sku`?"),
        ("a ${input.phone", "`${` is never closed", "${", "write `$$` for a literal `$`"),
        ("${input.phone", "`${` is never closed", "${", "write `$$` for a literal `$`"),
        ("a ${input.count + } b", "unexpected `}`", "}", ""),
        ("a ${1 ? 2 : 3}", "`?` means nothing here", "?", "write `2 if 1 else 3`"),
        ("${}", "an expression is missing here", "", ""),
        ("a ${input.x|uper}", "there is no filter `uper`", "uper", "did you mean `upper`?"),
        ("{% set x = 1 %}", "there is no block `{% set %}`", "{% set", LITERAL),
        ("{% include 'a' %}", "there is no block `{% include %}`", "{% include", LITERAL),
        ("100 {%# x", "`{%` starts no block", "{%", LITERAL),
        ("{% if x", "`{%` is never closed", "{%", "write `${'{%'}` for a literal `{%`"),
        ("a {% for x in y %} b", "`{% for %}` is never closed", "{% for", "add `{% endfor %}`"),
        ("{% endif %}", "`{% endif %}` means nothing here", "{% endif", ""),
        ("{% if 1 %}{% endfor %}", "`{% endfor %}` means nothing within `{% if %}`", "{% endfor", ""),
        ("{% for x in 5 %}{% endfor %}", "number is not iterable", "5", ""),
        (
            "{% for x in [] recursive %}{% endfor %}",
            "a loop cannot be recursive",
            "for x in [] recursive %}{% endfor",
            "",
        ),
    ] {
        let error = Text::parse(source).and_then(|text| text.eval(&scope())).expect_err(source);
        assert_eq!(error.message, message, "{source}");
        assert_eq!(error.span.clone().map_or("", |span| &source[span]), marked, "{source}");
        assert_eq!(error.help.as_deref().unwrap_or_default(), help, "{source}");
    }
}

#[test]
fn names_that_a_step_binds_are_roots_where_they_are_known() {
    assert_eq!(Text::parse("$side.x").unwrap().as_literal(), Some("$side.x"));
    let bound = Text::parse_with("$side.x", &["side"]).unwrap();
    assert_eq!(bound.references()[0].path, ["side", "x"]);
}

#[test]
fn what_only_looks_like_a_reference_can_be_found() {
    let found = |source: &str| {
        let text = Text::parse(source).unwrap();
        text.lookalikes(&["side"]).into_iter().map(|place| source[place].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("$input.phone|hash"), ["$input.phone"]);
    assert_eq!(found("Dear {{ input.name }}, $side[0] ${input.phone}"), ["{{ input.name }}", "$side[0]"]);
    assert_eq!(found("$$input.phone $5 $HOME {{ name }} $input"), Vec::<String>::new());
    assert_eq!(found("$input.phone"), Vec::<String>::new());
}

#[test]
fn what_runs_long_or_grows_large_is_stopped() {
    let message = |source: &str| Text::parse(source).and_then(|text| text.eval(&scope())).unwrap_err().message;
    assert_eq!(message("{% for x in range(99999) %}${x}{% endfor %}"), "this takes more than 100000 steps to compute");
    assert_eq!(message("{% for x in range(9999) %}${'a' * 9999}{% endfor %}"), "the result is larger than 16 MiB");
    assert!(message(&"x".repeat(70_000)).starts_with("an expression may have 64 KiB"));
    assert!(message(&"{% if 1 %}".repeat(40)).starts_with("a text may have 256 blocks"));
    assert!(
        message(&format!("{{% if 1 %}}{}", "{% elif 1 %}".repeat(5_000))).starts_with("a text may have 256 blocks")
    );
}

#[test]
fn texts_within_the_bounds_fit_the_stack() {
    let nested = format!("{}x{}", "{% if 1 %}".repeat(32), "{% endif %}".repeat(32));
    assert_eq!(value(&nested), json!("x"));
    assert_eq!(value(&format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(250))), json!(""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn literal_text_is_itself(source in "[^${]{0,80}") {
        let text = Text::parse(&source).unwrap();
        prop_assert_eq!(text.as_literal(), Some(source.as_str()));
        let value = text.eval(&scope()).unwrap();
        prop_assert_eq!(value.as_text(), Some(source.as_str()));
    }

    #[test]
    fn any_text_is_parsed_or_refused_and_marked_within_itself(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "$", "{", "}", "%", "{%", "%}", "${", "$$", "input", ".", "phone", "x", " ", "for", "in", "if", "endif", "'",
                "ö", "\n", "(", ")", "[", "]", "else", "endfor", "-", "steps",
            ]),
            0..24,
        ),
    ) {
        let source = parts.concat();
        let outcome = Text::parse(&source).and_then(|text| text.eval(&scope()));
        if let Err(Error { span: Some(span), .. }) = outcome {
            prop_assert!(source.get(span).is_some());
        }
    }
}

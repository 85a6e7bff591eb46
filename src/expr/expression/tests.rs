//! A table of expressions with their results, and one of mistakes with their words.

use super::*;
use crate::expr::fixture::{scope, scope_of};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn value(source: &str) -> Json {
    let evaluated = Expr::parse(source).and_then(|expr| expr.eval(&scope()));
    evaluated.unwrap_or_else(|error| panic!("{source}: {error}")).to_json()
}

fn mistake(source: &str) -> Error {
    let evaluated = Expr::parse(source).and_then(|expr| expr.eval(&scope()));
    evaluated.map(|value| value.to_json()).expect_err(source)
}

#[track_caller]
fn check_values(table: &[(&str, Json)]) {
    for (source, expected) in table {
        assert_eq!(value(source).to_string(), expected.to_string(), "{source}");
    }
}

/// Each row: source, message, the part of the source that is marked, help.
#[track_caller]
fn check_mistakes(table: &[(&str, &str, &str, &str)]) {
    for (source, message, marked, help) in table {
        let error = mistake(source);
        assert_eq!(error.message, *message, "{source}");
        assert_eq!(error.span.clone().map_or("", |span| &source[span]), *marked, "{source}");
        assert_eq!(error.help.as_deref().unwrap_or_default(), *help, "{source}");
        assert_eq!(error.expression, *source);
    }
}

#[test]
fn paths_lead_to_their_values() {
    check_values(&[
        ("input.phone", json!("+4930123")),
        ("$input.phone", json!("+4930123")),
        (" ${ input.phone } ", json!("+4930123")),
        ("input['odd name']", json!(1)),
        ("input.items[0].sku", json!("a")),
        ("input.items[-1].sku", json!("b")),
        ("input.items.1.sku", json!("b")),
        ("input.aspects[input.side][0]", json!("price")),
        ("input.aspects [ 'market' ] . 0", json!("price")),
        ("(input.aspects).market", json!(["price"])),
        ("input.items[1:]", json!([{ "sku": "b", "qty": 1, "price": 4.0 }])),
        ("steps.speech", json!({ "output": null, "status": "skipped" })),
        ("steps.speech.output", json!(null)),
    ]);
}

#[test]
fn operators_have_both_spellings() {
    check_values(&[
        ("!input.dry_run && input.count > 2", json!(true)),
        ("not input.dry_run and input.count != 3 || true", json!(true)),
        ("input.nick == null", json!(true)),
        ("'&& || ! $input null' ~ \"!\"", json!("&& || ! $input null!")),
        ("'yes' if $item.sku == 'c' else 'no'", json!("yes")),
        ("1 < input.count < 5", json!(true)),
        ("'b' in ['a', 'b'] and input.phone not in []", json!(true)),
        ("{'a': 1, 'b': {'c': 2}}", json!({ "a": 1, "b": { "c": 2 } })),
    ]);
}

#[test]
fn numbers_keep_their_type() {
    check_values(&[
        ("input.rate", json!(1.0)),
        ("input.count", json!(3)),
        ("input.big", json!(u64::MAX)),
        ("10000000000000000000 + 1", json!(10_000_000_000_000_000_001_u64)),
        ("input.count * input.rate", json!(3.0)),
        ("input.count / 2", json!(1.5)),
        ("input.count // 2", json!(1)),
        ("-input.count|abs", json!(3)),
    ]);
}

#[test]
fn what_is_missing_or_null_can_be_handled() {
    check_values(&[
        ("input.nick|default('x')", json!("x")),
        ("input.nope|default('x')", json!("x")),
        ("input.nope.deep.er|default([])", json!([])),
        ("steps.speech.output.a.b|default(none)", json!(null)),
        ("input.dry_run|default('x', true)", json!("x")),
        ("input.dry_run|default('x', boolean=true)", json!("x")),
        ("input.dry_run|default('x')", json!(false)),
        ("input.nick|default", json!("")),
        ("steps.speech.output.a is defined", json!(false)),
        ("steps.speech.output is not none", json!(false)),
        ("input.nope is undefined", json!(true)),
        ("input.nope == none", json!(true)),
        ("input.nope or 'x'", json!("x")),
        ("1 if input.nope.deep else 2", json!(2)),
        ("steps.speech.output.x if steps.speech.output else 'none'", json!("none")),
        ("steps.speech.output and steps.speech.output.x", json!(null)),
        ("[]|first|default(7)", json!(7)),
    ]);
}

#[test]
fn filters_and_methods_compute() {
    check_values(&[
        ("steps.quotes.output.values()|select|sort(attribute='price')|first", json!({ "price": 5 })),
        ("steps.quotes.output.keys()", json!(["dhl", "ups", "post"])),
        ("steps.quotes.output.items()|first", json!(["dhl", { "price": 7 }])),
        ("input.items[0].get('nope', 1)", json!(1)),
        ("input.items|sum(attribute='price')", json!(5.5)),
        ("input.items|map(attribute='sku')|join(', ')", json!("a, b")),
        ("input.items|join('+', attribute='qty')", json!("2+1")),
        ("input.items|selectattr('qty', 'gt', 1)|map(attribute='sku')", json!(["a"])),
        ("input.items|groupby('sku')|map('first')", json!(["a", "b"])),
        ("[3, 1, 3]|unique|sort", json!([1, 3])),
        ("input.items|pick('sku', 'nope')", json!([{ "sku": "a" }, { "sku": "b" }])),
        ("input.items[0]|pick('qty', 'sku')", json!({ "qty": 2, "sku": "a" })),
        ("[[1, 2], [[3]], 4]|flatten", json!([1, 2, [3], 4])),
        ("[1, 2, 3]|batch(2)", json!([[1, 2], [3]])),
        ("input.aspects|json", json!(r#"{"market":["price"],"legal":[]}"#)),
        ("[1]|tojson(indent=2)", json!("[\n  1\n]")),
        ("'{\"a\": [1.0, 2]}'|from_json", json!({ "a": [1.0, 2] })),
        ("'a\\n\\nb'|indent(2, true)", json!("  a\n\n  b")),
        ("'a,b'.split(',')", json!(["a", "b"])),
        ("' Ab '.strip().lower().replace('b', 'x')", json!("ax")),
        ("'__a_'.lstrip('_')", json!("a_")),
        ("'-'.join(['a', 1, none])", json!("a-1-")),
        ("input.phone.startswith('+49') and not input.phone.endswith('0')", json!(true)),
        ("'a\\nb'.splitlines()", json!(["a", "b"])),
        ("range(3)", json!([0, 1, 2])),
        ("dict(a=1)", json!({ "a": 1 })),
        ("1.5|round", json!(2.0)),
    ]);
}

#[test]
fn a_hash_never_changes_and_ignores_the_order_of_fields() {
    check_values(&[
        ("''|hash", json!("cbf29ce484222325")),
        ("'a'|hash", json!("af63dc4c8601ec8c")),
        ("'foobar'|hash", json!("85944171f73967e8")),
        ("({'b': 1, 'a': [{'d': 1, 'c': 2}]}|hash) == ({'a': [{'c': 2, 'd': 1}], 'b': 1}|hash)", json!(true)),
    ]);
}

#[test]
fn joined_text_is_written_as_in_texts() {
    check_values(&[
        ("'a' ~ 1 ~ true ~ none ~ input.nick ~ input.rate", json!("a1true1.0")),
        ("(1 == 1) ~ (not true) ~ ('x' if input.nope else none) ~ (1 + 1)", json!("truefalse2")),
        ("input.aspects ~ input.items|length", json!(r#"{"market":["price"],"legal":[]}2"#)),
    ]);
}

#[test]
fn a_path_that_leads_nowhere_is_named() {
    check_mistakes(&[
        (
            "steps.contact.output.phnoe",
            "`steps.contact.output` has no field `phnoe`",
            "steps.contact.output.phnoe",
            "did you mean `phone`?",
        ),
        (
            "1 == steps.contact.output.phnoe",
            "`steps.contact.output` has no field `phnoe`",
            "steps.contact.output.phnoe",
            "did you mean `phone`?",
        ),
        (
            "steps.contct.output|upper",
            "`steps` has no field `contct`",
            "steps.contct.output",
            "did you mean `contact`?",
        ),
        ("stpes.contact", "`stpes` is not known here", "stpes.contact", "did you mean `steps`?"),
        ("x + 1", "`x` is not known here", "x", "known here: `input`, `steps`, `item`, `index`"),
        ("item.colour", "`item` has no field `colour`", "item.colour", "it has: `sku`"),
        (
            "steps.speech.output.text",
            "`steps.speech.output` is null, so it has no field `text`",
            "steps.speech.output.text",
            "add `|default(…)` if it may be missing",
        ),
        (
            "[input.nick.x.y]",
            "`input.nick` is null, so it has no field `x`",
            "input.nick.x.y",
            "add `|default(…)` if it may be missing",
        ),
        ("input.items[5].sku", "`input.items` is a list of 2, so it has no item 5", "input.items[5].sku", ""),
        (
            "input.items.length",
            "`input.items` is a list of 2, so it has no field `length`",
            "input.items.length",
            "write `|length` behind the path",
        ),
        ("input.phone.number", "`input.phone` is text, so it has no field `number`", "input.phone.number", ""),
        ("input.aspects[input.nope]", "`input` has no field `nope`", "input.nope", ""),
        ("input['odd name'].x", "`input['odd name']` is a number, so it has no field `x`", "input['odd name'].x", ""),
        ("'' or input.nope", "`input` has no field `nope`", "input.nope", ""),
    ]);
}

#[test]
fn habits_of_other_languages_are_recognised() {
    check_mistakes(&[
        ("input.phone ? 'a' : 'b'", "`?` means nothing here", "?", "write `'a' if input.phone else 'b'`"),
        (
            "[1, input.count > 2 ? 'a:b' : 'c', 3]",
            "`?` means nothing here",
            "?",
            "write `'a:b' if input.count > 2 else 'c'`",
        ),
        ("a ?", "`?` means nothing here", "?", "write `b if a else c`"),
        ("input.nick ?? 'x'", "`?` means nothing here", "?", "write `a|default(b)` for a value that may be null"),
        ("input?.nick", "`?` means nothing here", "?", "write `a.b|default(none)` for a path that may be missing"),
        ("input.count === 3", "`===` means nothing here", "===", "write `==`"),
        ("input.count !== 3", "`!==` means nothing here", "!==", "write `!=`"),
        ("input.count = 3", "`=` means nothing here", "=", "write `==` to compare"),
        ("1 + ${input.count}", "`$` means nothing here", "$", "leave out `${` and `}`: this is an expression already"),
        ("$stpes.a", "`$stpes` is not known here", "$stpes", "did you mean `steps`?"),
        ("input.items.length()", "a list has no method `length`", ".length()", "write `|length`"),
        ("1 if input.count", "this `if` has no `else`, so it may have no value", "input.count", "add `else none`"),
    ]);
}

#[test]
fn what_cannot_be_parsed_is_marked() {
    check_mistakes(&[
        ("", "an expression is missing here", "", ""),
        ("'abc", "the text that starts here is never closed", "'", ""),
        ("(1 + [2", "`[` is never closed", "[", ""),
        ("(1 + 2])", "`]` closes nothing", "]", ""),
        ("1 +", "unexpected end, expected expression", "+", ""),
        ("1 && && 2", "unexpected input after expression", "2", ""),
        ("1 && ||", "a value is missing here", "||", ""),
        ("input.ä", "unexpected character", "ä", ""),
        ("input.phone|uper", "there is no filter `uper`", "uper", "did you mean `upper`?"),
        ("input.phone|_strict(0)", "there is no filter `_strict`", "_strict(0)", ""),
        ("!input.phone is strin", "there is no test `strin`", "strin", "did you mean `string`?"),
        ("rnge(1)", "there is no function `rnge`", "rnge", "did you mean `range`?"),
        ("'x' * 1000000000", "repeating this makes more than 10000 characters or items", "'x' * 1000000000", ""),
    ]);
}

#[test]
fn what_cannot_be_computed_is_marked() {
    check_mistakes(&[
        ("1 + input.count / 0", "unable to calculate 3 / 0", "input.count / 0", ""),
        ("input.count + 'a'", "`+` cannot combine a number and text", "input.count + 'a'", "write `~` to join text"),
        (
            "input.nick + 1",
            "`+` cannot combine null and a number",
            "input.nick + 1",
            "add `|default(…)` if it may be missing",
        ),
        ("input.nick < 3", "null cannot be put in order", "input.nick", "add `|default(…)` if it may be missing"),
        (
            "1 < input.phone",
            "a number and text cannot be put in order",
            "input.phone",
            "convert one of them, for instance with `|float` or `|string`",
        ),
        ("input.phone.uper()", "text has no method `uper`", ".uper()", "did you mean `upper`?"),
        (
            "input.nick|length",
            "cannot calculate length of value of type none",
            "length",
            "add `|default(…)` if it may be missing",
        ),
        ("'{'|from_json", "this is not JSON: EOF while parsing an object at line 1 column 1", "from_json", ""),
        ("1|pick('a')", "`pick` needs an object or a list of objects, this is a number", "pick('a')", ""),
        ("1|default(1, 2, 3)", "there are too many arguments", "default(1, 2, 3)", ""),
        ("[]|first", "this has no value, perhaps because a list is empty", "", ""),
        ("2 ** 70", "the result is a whole number beyond 64 bits", "", ""),
        ("1e308 * 10", "the result is not a finite number", "", ""),
    ]);
}

#[test]
fn a_condition_takes_what_is_missing_for_false() {
    let holds = |source: &str| Expr::parse(source).unwrap().test(&scope()).map_err(|error| error.message);
    for (source, expected) in [
        ("input.nope", Ok(false)),
        ("input.phone", Ok(true)),
        ("steps.speech.output.done && input.phone", Ok(false)),
        ("input.phone && input.nope.deep", Ok(false)),
        ("!input.nope", Ok(true)),
        ("input.items", Ok(true)),
        ("input.aspects.legal", Ok(false)),
        ("input.nope > 1", Err("`input` has no field `nope`".to_owned())),
    ] {
        assert_eq!(holds(source), expected, "{source}");
    }
}

#[test]
fn references_are_listed_with_their_guards() {
    let listed = |source: &str| {
        let expr = Expr::parse(source).unwrap();
        let shown = |reference: &Reference| {
            let span = reference.span.clone().unwrap();
            let guard = if reference.guarded { "?" } else { "" };
            format!("{}{guard} @ {}", reference.path.join("/"), &source[span])
        };
        expr.value_references().iter().map(shown).collect::<Vec<_>>().join(", ")
    };
    for (source, expected) in [
        ("1", ""),
        ("$steps.a.output['b c'][0]", "steps/a/output/b c/0 @ steps.a.output['b c'][0]"),
        ("steps.a.output[input.b].c", "steps/a/output @ steps.a.output[input.b].c, input/b @ input.b"),
        ("steps.a.output.b|default(input.c)", "steps/a/output/b? @ steps.a.output.b, input/c @ input.c"),
        ("steps.a.output is defined", "steps/a/output? @ steps.a.output"),
        ("null == steps.a.output.b", "steps/a/output/b? @ steps.a.output.b"),
        (
            "steps.a.output.b if steps.a.output && 1 else steps.c.output.d",
            "steps/a/output? @ steps.a.output, steps/a/output/b? @ steps.a.output.b, steps/c/output/d @ steps.c.output.d",
        ),
        (
            "steps.a.status == 'completed' && steps.a.output.b",
            "steps/a/status @ steps.a.status, steps/a/output/b? @ steps.a.output.b",
        ),
        ("steps.a.output.values()|first", "steps/a/output @ steps.a.output"),
        ("range(input.n)|map('int', base=item)", "input/n @ input.n, item @ item"),
    ] {
        assert_eq!(listed(source), expected, "{source}");
    }
    assert!(Expr::parse("steps.a.output").unwrap().references()[0].guarded, "as a condition, null is false");
    assert!(!Expr::parse("steps.a.output").unwrap().value_references()[0].guarded);
}

#[test]
fn a_source_too_deep_or_too_long_is_refused() {
    let deep = "(".repeat(30_000);
    let wide = |part: &str| format!("1{}", part.repeat(20_000));
    let sources = [
        deep,
        format!("{}1", "!".repeat(60_000)),
        format!("{}1", "-".repeat(60_000)),
        format!("{}1", "not ".repeat(16_000)),
        wide("+1"),
        wide("~1"),
        wide(".a"),
        wide("|e"),
        "1 if 1 else ".repeat(5_000),
        format!("input{}", "[0]".repeat(20_000)),
        format!("{}1", "[1,".repeat(20_000)),
        "(".repeat(100_000),
    ];
    for source in sources {
        let error = Expr::parse(&source).unwrap_err();
        assert!(error.message.len() < 100 && error.expression.len() < 200, "{error}");
    }
}

#[test]
fn sources_within_the_bounds_fit_the_stack() {
    for source in [
        format!("{}1", "!".repeat(500)),
        format!("{}1", "-".repeat(500)),
        format!("1{}", "+1".repeat(500)),
        format!("1{}", "|abs".repeat(500)),
        format!("input{}|default(1)", ".a".repeat(500)),
        format!("{}1", "1 if 0 else ".repeat(250)),
        format!("{}1{}", "(".repeat(60), ")".repeat(60)),
        format!("[{}]", "input.count + 1,".repeat(2_000)),
    ] {
        Expr::parse(&source).and_then(|expr| expr.eval(&scope())).unwrap();
    }
}

#[test]
fn what_runs_long_or_grows_large_is_stopped() {
    let message = |source: &str| mistake(source).message;
    let large = "the result is larger than 16 MiB";
    assert_eq!(message("('a' * 10000)|replace('a', 'b' * 10000)"), large);
    assert_eq!(message("range(9999)|join('a' * 10000)"), large);
    assert_eq!(message("input.phone * 9999999"), large);
    assert_eq!(message("range(99999)|list * 100"), large);
    assert_eq!(message("'a'|indent(1000)"), "`indent` moves text by at most 64, not by 1000");
    assert_eq!(message("range(1000000)"), "range has too many elements");
}

#[test]
fn the_same_expression_serves_many_scopes() {
    let expr = Expr::parse("input.a * 2").unwrap();
    for a in 0..3 {
        assert_eq!(expr.eval(&scope_of(json!({ "input": { "a": a } }))).unwrap().to_json(), json!(a * 2));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_parsed_or_refused(source in ".{0,80}") {
        let _ = Expr::parse(&source).map(|expr| expr.eval(&scope()));
    }

    #[test]
    fn any_tokens_are_parsed_or_refused_and_marked_within_the_source(
        tokens in proptest::collection::vec(
            proptest::sample::select(vec![
                "input", ".", "phone", "[", "]", "(", ")", "{", "}", "'a'", "1", "+", "~", "|", "default", "if", "else", "not",
                "is", "defined", "&&", "||", "!", "null", ",", ":", "$steps", "==", "<", " ", "ä", "?", "-", "items", "%}", "${",
            ]),
            0..24,
        ),
    ) {
        let source = tokens.concat();
        let outcome = Expr::parse(&source).and_then(|expr| expr.eval(&scope()));
        if let Err(Error { span: Some(span), .. }) = outcome {
            prop_assert!(source.get(span).is_some());
        }
    }
}

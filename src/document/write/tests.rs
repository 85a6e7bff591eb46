//! Whatever is written reads back as itself.

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Value, json};

use super::write;
use crate::document::format::Format;
use crate::document::parse::parse;
use crate::model::problem::Source;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{1,8}",
        "\\$[a-z]{1,5}\\.[a-z]{1,5}",
        "[ -~]{0,12}",
        "([ -~]{0,9}\n){0,3}[ -~]{0,5}",
        "\\PC{0,8}",
        any::<String>(),
        prop_oneof![
            Just("true"),
            Just("no"),
            Just("012"),
            Just("1.0"),
            Just("~"),
            Just("- a"),
            Just("a: b"),
            Just("<<")
        ]
        .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(Value::from),
        Just(json!(1e300)),
        Just(json!([])),
        Just(json!({})),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..5).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

fn read(text: &str, format: Format) -> Value {
    parse(&Source::new("f", text), format).unwrap_or_else(|problem| panic!("{problem}\n{text}")).to_json()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn yaml_json_and_toml_say_the_same(fields in prop::collection::vec((text(), value()), 0..6)) {
        let whole: Value = fields.into_iter().collect();
        for format in [Format::Yaml, Format::Json, Format::Toml] {
            let text = write(&whole, format);
            prop_assert_eq!(text.as_ref().map(|text| read(text, format)), Ok(whole.clone()));
        }
    }
}

#[test]
fn it_reads_well() {
    let whole = json!({
        "name": "a", "steps": [{ "id": "x", "tool": "a.b", "args": { "to": "$input.to", "text": "one\ntwo\n" }, "after": [] }],
        "output": { "n": 1, "t": "yes: it is" },
    });
    let yaml = "name: a\nsteps:\n  - id: x\n    tool: a.b\n    args:\n      to: $input.to\n      text: |\n        one\n        two\n    after: []\noutput: { n: 1, t: \"yes: it is\" }\n";
    assert_eq!(write(&whole, Format::Yaml).as_deref(), Ok(yaml));
    let toml = "name = \"a\"\n\n[[steps]]\nid = \"x\"\ntool = \"a.b\"\nargs = { to = \"$input.to\", text = \"\"\"\none\ntwo\n\"\"\" }\nafter = []\n\n[output]\nn = 1\nt = \"yes: it is\"\n";
    assert_eq!(write(&whole, Format::Toml).as_deref(), Ok(toml));
    let why = write(&json!({ "steps": [{ "set": null }] }), Format::Toml).expect_err("no null");
    assert!(why.contains("`steps.set`"), "{why}");
}

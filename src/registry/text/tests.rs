//! Placeholders: what is parsed, what is expanded, what is never shown.

use super::*;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

struct Fake;

impl Variables for Fake {
    fn env(&self, name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("t0ken".to_owned()),
            "HOME" => Some("/home/ann".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        if path == "/run/secrets/key" { Ok("k3y\n".to_owned()) } else { Err("no such file".to_owned()) }
    }
}

fn expanded(written: &str) -> Result<String, String> {
    let text = Text::parse(written).map_err(|bad| format!("{}; {}", bad.why, bad.help))?;
    text.expand(&Fake).map(|secret| secret.expose().clone()).map_err(|unset| unset.to_string())
}

#[test]
fn placeholders_are_filled_in_from_the_environment_and_from_files() {
    for (written, expected) in [
        ("plain $5 $HOME {x}", "plain $5 $HOME {x}"),
        ("Bearer ${TOKEN}", "Bearer t0ken"),
        ("${env:TOKEN}${TOKEN}", "t0kent0ken"),
        ("${NONE:-8080}", "8080"),
        ("${EMPTY:-x}${EMPTY}", "x"),
        ("${env:NONE:-y}${TOKEN:-z}", "yt0ken"),
        ("${file:/run/secrets/key}!", "k3y!"),
        ("${userHome}/x", "/home/ann/x"),
        ("$${TOKEN} costs $$5", "${TOKEN} costs $$5"),
    ] {
        assert_eq!(expanded(written).as_deref(), Ok(expected), "{written}");
    }
}

#[test]
fn what_has_no_value_says_why() {
    assert_eq!(expanded("${NONE}").unwrap_err(), "`${NONE}` has no value: the environment variable `NONE` is not set");
    assert_eq!(expanded("${file:/x}").unwrap_err(), "`${file:/x}` has no value: no such file");
}

#[test]
fn what_is_not_supported_says_what_to_use_instead() {
    for (written, expected) in [
        (
            "${secret:github-token}",
            "`${secret:…}` is not supported yet; use `${GITHUB_TOKEN}` and set `GITHUB_TOKEN` in the environment",
        ),
        ("${input:key}", "`${input:…}` is not supported yet; use `${KEY}` and set `KEY` in the environment"),
        (
            "${workspaceFolder}/a",
            "`${workspaceFolder}` is not supported: there is no workspace here; write the path, or use a variable such as `${PROJECT}`",
        ),
        ("a${TOKEN", "a `${` without a `}`; close it, or write `$${` for a literal `${`"),
    ] {
        assert_eq!(expanded(written).unwrap_err(), expected);
    }
    for wrong in ["${}", "${1A}", "${a b}", "${file:}", "${env:}", "${x:y}"] {
        assert!(expanded(wrong).unwrap_err().starts_with("a `${…}` that is no variable"), "{wrong}");
    }
}

#[test]
fn it_is_shown_as_written_and_its_value_never() {
    let text = Text::parse("Bearer ${TOKEN}").unwrap();
    assert_eq!(format!("{text} {text:?}"), "Bearer ${TOKEN} \"Bearer ${TOKEN}\"");
    assert_eq!(format!("{:?}", text.expand(&Fake)), "Ok(****)");
    assert!(!text.is_literal());
    assert!(Text::parse("$${x} $y").unwrap().is_literal());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_text_makes_it_panic_and_text_without_placeholders_is_itself(text in "[a-z$]{0,6}[${}:A-Z-]{0,8}\\PC{0,6}") {
        let parsed = Text::parse(&text);
        if !text.contains("${") {
            let expanded = parsed.unwrap().expand(&Fake).unwrap();
            prop_assert_eq!(expanded.expose(), &text);
        }
    }
}

//! `bilingual_coach`.

use serde_json::{Value, json};

use crate::support::brain::{Brain, Say};
use crate::support::{Example, Host};

const FEEDBACK: &str = r#"{"feedback":"Well said!","score":0.9}"#;

fn openrouter() -> Value {
    json!({
        "transcribe": { "says": { "text": "Yo soy feliz.", "confidence": 0.9 } },
        "analyze": { "says": { "grammar": { "errors": [{ "message": "estar, not ser", "span": "soy" }] } } },
        "translate": { "says": { "text": "by openrouter" } },
    })
}

fn gemini() -> Value {
    json!({
        "transcribe": { "says": { "text": "Yo estoy feliz.", "confidence": 0.8 } },
        "translate": { "says": { "text": "I am happy." } },
    })
}

fn elevenlabs() -> Value {
    json!({ "speak": { "says": { "audio": "UklGRg==" } } })
}

/// What is said in a session; as audio unless it is given as text.
fn session(text: Option<&str>) -> Value {
    let mut session = json!({
        "userId": "user123", "sessionId": "session456", "targetLanguage": "es", "sourceLanguage": "en",
    });
    match text {
        Some(text) => session["textInput"] = json!(text),
        None => session["audioData"] = json!("UklGRg=="),
    }
    session
}

fn coach(host: &mut Host, input: &Value) -> Value {
    host.value("bilingual_coach", input.clone())
}

#[test]
fn a_learner_is_heard_corrected_and_spoken_to() {
    let brain = Brain::saying([Say::Text(FEEDBACK)]);
    let example = Example::of("bilingual_coach").model("openrouter", &brain).server("openrouter", openrouter());
    let mut host = example.server("gemini", gemini()).server("elevenlabs", elevenlabs()).start();
    let output = coach(&mut host, &session(None));
    let expected = json!({
        "transcript": "Yo soy feliz.", "translation": "I am happy.", "feedback": "Well said!", "audio": "UklGRg==",
    });
    assert_eq!(output, expected);
    let asked = brain.heard()[0].body["messages"].to_string();
    assert!(asked.contains("- estar, not ser (at \\\"soy\\\")"), "{asked}");
    let model = brain.heard()[0].body["model"].as_str().unwrap_or_default().to_owned();
    assert!(model.contains("deepseek-r1") || model.contains("llama"), "{model}");
}

#[test]
fn where_providers_are_down_the_next_ones_serve() {
    let brain = Brain::saying([Say::Text(FEEDBACK)]);
    let example = Example::of("bilingual_coach").model("deepseek", &brain).server("gemini", gemini());
    let mut host = example.server("deepseek", json!({ "analyze": { "says": {} } })).start();
    let output = coach(&mut host, &session(None));
    let expected = json!({
        "transcript": "Yo estoy feliz.", "translation": "I am happy.", "feedback": "Well said!", "audio": null,
    });
    assert_eq!(output, expected, "openrouter and elevenlabs are down");
}

#[test]
fn an_old_translation_or_none_is_better_than_no_coach() {
    let brain = Brain::saying([Say::Text(FEEDBACK), Say::Text(FEEDBACK), Say::Text(FEEDBACK)]);
    let mut server = openrouter();
    server["translate"] = json!([{ "says": { "text": "I am happy." } }, { "fails": "no credit" }]);
    let mut host = Example::of("bilingual_coach").model("openrouter", &brain).server("openrouter", server).start();
    let translations = ["Soy feliz.", "Soy feliz.", "Tengo hambre."]
        .map(|text| coach(&mut host, &session(Some(text)))["translation"].clone());
    assert_eq!(translations, ["I am happy.", "I am happy.", "Tengo hambre."]);
}

#[test]
fn a_spent_budget_ends_the_run_before_a_model_is_asked() {
    let brain = Brain::saying([Say::Text(FEEDBACK)]);
    let mut server = openrouter();
    server["analyze"] = json!({ "says": {}, "used": { "tokens": 12_000 } });
    let mut host = Example::of("bilingual_coach").model("openrouter", &brain).server("openrouter", server).start();
    let report = host.failed("bilingual_coach", session(Some("Soy feliz.")));
    assert_eq!((&report["status"], &report["error"]["kind"]), (&json!("failed"), &json!("budget")), "{report}");
    assert_eq!(brain.heard().len(), 0);
}

//! Answers that are JSON: how they are asked for in words, and how they are found in what a model says.

use serde_json::Value;

use crate::workflow::schema;

/// `system` with the demand for an answer that fits `schema`.
pub fn instruction(system: &str, schema: &Value) -> String {
    let lines = if system.is_empty() { "" } else { "\n\n" };
    format!(
        "{system}{lines}When you give your answer, give one JSON value that fits this JSON Schema, and nothing else \
         (no code fence, no explanation):\n{schema}"
    )
}

/// The value in `text` if it fits `schema`; else what is wrong with it, in words.
pub fn read(text: &str, schema: &Value) -> Result<Value, String> {
    let Some(value) = value(text) else {
        return Err("it is no JSON".to_owned());
    };
    let violations = schema::violations(schema, &value, "the answer");
    if violations.is_empty() { Ok(value) } else { Err(violations.join("; ")) }
}

/// What a model is told whose answer does not fit.
pub fn complaint(why: &str) -> String {
    format!("Your answer does not fit the JSON Schema: {why}. Give the corrected JSON value, and nothing else.")
}

/// The JSON value that a model gives, perhaps in a code fence or between sentences.
pub fn value(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    let fenced = text.split("```").nth(1).map(|inside| inside.strip_prefix("json").unwrap_or(inside));
    if let Some(value) = fenced.and_then(|inside| serde_json::from_str(inside.trim()).ok()) {
        return Some(value);
    }
    let begin = text.find(['{', '['])?;
    let end = text.rfind(['}', ']'])?;
    serde_json::from_str(text.get(begin..=end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_found_however_it_is_wrapped() {
        for text in [
            r#"{"a":1}"#,
            "```json\n{\"a\": 1}\n```",
            "```\n{\"a\": 1}\n```",
            "Here it is: {\"a\": 1}. Anything else?",
            "  {\"a\": 1}\n",
        ] {
            assert_eq!(value(text), Some(json!({ "a": 1 })), "{text}");
        }
        assert_eq!(value("no"), None);
        assert_eq!(value("} {"), None);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let schema = json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "integer" } } });
        assert_eq!(read("{}", &schema), Err("missing `a`".to_owned()));
        assert_eq!(read("hm", &schema), Err("it is no JSON".to_owned()));
        assert_eq!(read(r#"{"a":2}"#, &schema), Ok(json!({ "a": 2 })));
    }
}

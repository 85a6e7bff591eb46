//! What HTTP headers repeat of a request's body, so that whatever stands between need not read it (2026-07-28,
//! basic/transports).
//!
//! The rule for both sides: a client sends these headers, a server compares them with the body.

use serde_json::{Map, Value};

/// The error code of a header that does not say what the body says.
pub const MISMATCH: i64 = -32020;

/// What the name of a header that repeats an argument starts with.
const PREFIX: &str = "Mcp-Param-";

/// The keyword of a schema that wants its value repeated.
const KEYWORD: &str = "x-mcp-header";

/// The largest whole number that is the same as text and as a number everywhere (2^53 - 1).
const SAFE: f64 = 9_007_199_254_740_991.0;

/// The member of a request's params that `Mcp-Name` repeats.
pub fn name_key(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// An argument of a tool that a header repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    /// The whole name of the header.
    pub header: String,
    /// The keys that lead to the argument.
    path: Vec<String>,
    is_integer: bool,
}

impl Mirrored {
    /// The text of the header; `None` if the argument is not given, is null, or is no single value.
    pub fn text(&self, arguments: &Value) -> Option<String> {
        match self.path.iter().try_fold(arguments, |value, key| value.get(key))? {
            Value::String(text) => Some(text.clone()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Number(number) => Some(match number.as_f64() {
                // 42.0 is an integer too, and its decimal text is 42.
                Some(whole) if number.is_f64() && whole.fract() == 0.0 && whole.abs() <= SAFE => format!("{whole:.0}"),
                _ => number.to_string(),
            }),
            _ => None,
        }
    }

    /// Whether a header says what the argument says; integers are compared as numbers.
    pub fn agrees(&self, given: &str, expected: &str) -> bool {
        let number = |text: &str| text.parse().ok().filter(|number: &f64| number.abs() <= SAFE);
        given == expected || self.is_integer && number(given).is_some() && number(given) == number(expected)
    }
}

/// The arguments that the input schema of a tool wants repeated, or why it may not want that.
pub fn mirrored(schema: &Value) -> Result<Vec<Mirrored>, String> {
    let mut found = Vec::new();
    if let Some(schema) = schema.as_object() {
        walk(schema, Some(&mut Vec::new()), &mut found)?;
    }
    Ok(found)
}

/// Looks at a schema and all below it; `path` leads there if only `properties` lie between.
fn walk(
    schema: &Map<String, Value>,
    mut path: Option<&mut Vec<String>>,
    found: &mut Vec<Mirrored>,
) -> Result<(), String> {
    if let Some(annotation) = schema.get(KEYWORD) {
        let path = path.as_deref().filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| format!("`{KEYWORD}` stands where it cannot lead to an argument"))?;
        found.push(annotated(annotation, schema, path, found)?);
    }
    for (keyword, value) in schema {
        match (keyword.as_str(), value) {
            // Data, not schemas.
            ("default" | "const" | "enum" | "examples", _) => {}
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    let Some(property) = property.as_object() else { continue };
                    let Some(path) = path.as_deref_mut() else {
                        walk(property, None, found)?;
                        continue;
                    };
                    path.push(name.clone());
                    walk(property, Some(path), found)?;
                    path.pop();
                }
            }
            ("$defs" | "definitions" | "patternProperties" | "dependentSchemas", Value::Object(schemas)) => {
                schemas.values().filter_map(Value::as_object).try_for_each(|schema| walk(schema, None, found))?;
            }
            (_, Value::Object(schema)) => walk(schema, None, found)?,
            (_, Value::Array(schemas)) => {
                schemas.iter().filter_map(Value::as_object).try_for_each(|schema| walk(schema, None, found))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn annotated(
    annotation: &Value,
    schema: &Map<String, Value>,
    path: &[String],
    found: &[Mirrored],
) -> Result<Mirrored, String> {
    let argument = path.join(".");
    let is_token =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    let name = annotation.as_str().filter(|name| !name.is_empty() && is_token(name));
    let name = name.ok_or_else(|| format!("the `{KEYWORD}` of `{argument}` is no part of a header's name"))?;
    let header = format!("{PREFIX}{name}");
    if found.iter().any(|other| other.header.eq_ignore_ascii_case(&header)) {
        return Err(format!("`{header}` is to repeat two arguments"));
    }
    let types = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    // An argument that may also be null has no header then.
    let types: Vec<_> = types.into_iter().filter_map(Value::as_str).collect();
    let mut single = types.iter().filter(|name| **name != "null").peekable();
    if single.peek().is_none() || !single.all(|name| ["string", "integer", "boolean"].contains(name)) {
        return Err(format!("`{argument}`, which a header is to repeat, is neither string, integer nor boolean"));
    }
    Ok(Mirrored { header, path: path.to_vec(), is_integer: types.contains(&"integer") })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(properties: &Value) -> Value {
        json!({ "type": "object", "properties": properties })
    }

    fn headers(properties: &Value, arguments: &Value) -> Vec<(String, String)> {
        let mirrored = mirrored(&object(properties)).expect("a valid schema");
        mirrored.into_iter().filter_map(|one| Some((one.header.clone(), one.text(arguments)?))).collect()
    }

    #[test]
    fn arguments_are_repeated_by_their_path_as_plain_text() {
        let properties = json!({
            "region": { "type": "string", "x-mcp-header": "Region" },
            "deep": { "type": "object", "properties": { "n": { "type": "integer", "x-mcp-header": "N" } } },
            "dry": { "type": ["boolean", "null"], "x-mcp-header": "Dry" },
            "other": { "type": "string", "default": { "x-mcp-header": "Data" } },
        });
        let given = json!({ "region": "größe", "deep": { "n": -7 }, "dry": false, "other": "x" });
        let pair = |name: &str, text: &str| (format!("Mcp-Param-{name}"), text.to_owned());
        assert_eq!(headers(&properties, &given), [pair("Region", "größe"), pair("N", "-7"), pair("Dry", "false")]);
        assert_eq!(headers(&properties, &json!({ "deep": { "n": 42.0 } })), [pair("N", "42")]);
        for absent in [json!({}), json!({ "region": null, "deep": null, "dry": [true] }), Value::Null] {
            assert_eq!(headers(&properties, &absent), []);
        }
    }

    #[test]
    fn integers_agree_as_numbers_and_texts_as_texts() {
        let schema = object(&json!({
            "n": { "type": "integer", "x-mcp-header": "N" }, "s": { "type": "string", "x-mcp-header": "S" },
        }));
        let [n, s] = mirrored(&schema).expect("a valid schema").try_into().expect("two");
        assert!(n.agrees("42.0", "42") && n.agrees("42", "42") && !n.agrees("43", "42") && !n.agrees("NaN", "x"));
        assert!(!n.agrees("9007199254740993", "9007199254740992"), "beyond what a number holds, texts count");
        assert!(!s.agrees("42.0", "42"));
    }

    #[test]
    fn an_annotation_must_be_one_that_every_client_can_follow() {
        let text = |name: &str| json!({ "type": "string", "x-mcp-header": name });
        let wrong = [
            json!({ "a": text("") }),
            json!({ "a": text("My Region") }),
            json!({ "a": text("Region:1") }),
            json!({ "a": text("Région") }),
            json!({ "a": { "type": "string", "x-mcp-header": 5 } }),
            json!({ "a": text("Region"), "b": text("region") }),
            json!({ "a": { "type": "number", "x-mcp-header": "A" } }),
            json!({ "a": { "type": "object", "x-mcp-header": "A" } }),
            json!({ "a": { "type": "null", "x-mcp-header": "A" } }),
            json!({ "a": { "x-mcp-header": "A" } }),
            json!({ "a": { "type": "array", "items": text("A") } }),
            json!({ "a": { "type": "array", "items": { "properties": { "b": text("A") } } } }),
            json!({ "a": { "oneOf": [text("A")] } }),
        ];
        for properties in wrong {
            assert!(mirrored(&object(&properties)).is_err(), "{properties}");
        }
        assert!(mirrored(&json!({ "$defs": { "a": text("A") } })).is_err());
        assert!(mirrored(&text("A")).is_err());
        let named_so = json!({ "x-mcp-header": { "type": "string" } });
        assert_eq!(mirrored(&object(&named_so)), Ok(Vec::new()), "a property may be called that");
    }
}

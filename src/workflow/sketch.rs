//! The first draft of a workflow: typed from the schemas of the tools that it is to call, and right as it stands.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::document::format::Format;
use crate::document::write::write;
use crate::model::name::{ToolRef, nearest_step_id};
use crate::workflow::surroundings::Surroundings;

/// Where the draft's first line says that the schema is, seen from the draft.
pub const SCHEMA_FILE: &str = ".schema/workflow.json";

/// Keywords of a tool's schema that say something about one argument by itself.
const SIMPLE: [&str; 14] = [
    "type",
    "description",
    "enum",
    "default",
    "items",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "properties",
];

/// What a step of the draft takes from the input.
#[derive(Default)]
struct Draft {
    input: Map<String, Value>,
    ids: BTreeSet<String>,
    steps: String,
}

/// A draft that calls `tools` one after the other, or an example if there are none.
pub fn sketch(name: &str, tools: &[ToolRef], surroundings: &dyn Surroundings) -> Result<String, String> {
    let mut draft = Draft::default();
    for tool in tools {
        draft.call(tool, surroundings)?;
    }
    let mut text = format!("# yaml-language-server: $schema={SCHEMA_FILE}\n");
    let about = "Say here what it is for: models read it before they call it.";
    let mut head = json!({ "name": name, "description": about });
    if tools.is_empty() {
        head["input"] = json!({ "who": "string", "greeting": { "type": "string", "default": "Hello" } });
        draft.steps.push_str("  - id: text\n    set: ${input.greeting}, ${input.who}!\n");
    } else if !draft.input.is_empty() {
        head["input"] = Value::Object(std::mem::take(&mut draft.input));
    }
    text.push_str(&write(&head, Format::Yaml)?);
    let _ = write!(text, "steps:\n{}", draft.steps);
    if tools.is_empty() {
        text.push_str("output:\n  text: $steps.text.output\n");
    }
    Ok(text)
}

impl Draft {
    fn call(&mut self, tool: &ToolRef, surroundings: &dyn Surroundings) -> Result<(), String> {
        let id = self.id(&tool.tool);
        let schema = surroundings.tool(tool).and_then(|facts| facts.input_schema);
        let schema = schema.as_deref().unwrap_or(&Value::Null);
        let properties = schema.get("properties").and_then(Value::as_object);
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut args = Map::new();
        for name in &required {
            let property = properties.and_then(|properties| properties.get(*name)).unwrap_or(&Value::Null);
            let input = self.declare(name, &id, alone(property));
            args.insert((*name).to_owned(), Value::String(format!("$input.{input}")));
        }
        let others: Vec<_> = properties
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .filter(|name| !required.contains(name) && !name.contains('\n'))
            .collect();
        let mut step = json!({ "id": id, "tool": tool.to_string() });
        if !args.is_empty() {
            step["args"] = Value::Object(args);
        }
        for line in write(&json!([step]), Format::Yaml)?.lines() {
            let _ = writeln!(self.steps, "  {line}");
        }
        if !others.is_empty() {
            let _ = writeln!(self.steps, "    # may be given, too: {}", others.join(", "));
        }
        Ok(())
    }

    /// A step's id made of a tool's name, its own among the steps.
    fn id(&mut self, tool: &str) -> String {
        let base = legal(tool);
        let mut id = base.clone();
        let mut count = 1;
        while !self.ids.insert(id.clone()) {
            count += 1;
            id = format!("{base}_{count}");
        }
        id
    }

    /// Declares an input for an argument and gives its name. Two arguments of one name and type share one.
    fn declare(&mut self, argument: &str, id: &str, schema: Value) -> String {
        let name = legal(argument);
        match self.input.get(&name) {
            Some(other) if *other != schema => {
                let name = format!("{id}_{name}");
                self.input.insert(name.clone(), schema);
                name
            }
            _ => {
                self.input.insert(name.clone(), schema);
                name
            }
        }
    }
}

/// A name that expressions can use.
fn legal(name: &str) -> String {
    nearest_step_id(name).unwrap_or_else(|| "value".to_owned())
}

/// What can be said of an argument without the schema that it stands in.
fn alone(property: &Value) -> Value {
    let Some(fields) = property.as_object() else { return json!({}) };
    let is_simple = |value: &Value| !value.to_string().contains("\"$ref\"");
    let kept: Map<_, _> = SIMPLE
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), fields.get(*key).filter(|value| is_simple(value))?.clone())))
        .collect();
    match kept.get("type") {
        Some(kind @ Value::String(_)) if kept.len() == 1 => kind.clone(),
        _ => Value::Object(kept),
    }
}

//! Calls of tools of the real servers, and what must come back.

use serde_json::{Value, json};

use super::ground::Ground;

/// One call.
pub(super) struct Call {
    pub(super) tool: &'static str,
    pub(super) arguments: Value,
    /// A text that must be in the result's text.
    says: String,
    /// Places in the structured content, and what must be there.
    holds: Vec<(&'static str, Value)>,
}

impl Call {
    fn new(tool: &'static str, arguments: Value, says: &str) -> Self {
        Self { tool, arguments, says: says.to_owned(), holds: Vec::new() }
    }

    fn holds(mut self, place: &'static str, value: impl Into<Value>) -> Self {
        self.holds.push((place, value.into()));
        self
    }

    /// The name of the tool's server.
    pub(super) fn server(&self) -> &str {
        self.tool.split("__").next().unwrap_or_default()
    }

    /// As the script reads it.
    pub(super) fn to_json(&self) -> Value {
        json!({ "tool": self.tool, "arguments": self.arguments })
    }

    /// Asserts that `result` is what the server means to say.
    pub(super) fn expect(&self, result: &Value) {
        let tool = self.tool;
        assert!(result["isError"] != true, "{tool} has failed: {result}");
        let text = result["content"][0]["text"].as_str().unwrap_or_default();
        assert!(text.contains(&self.says), "{tool} does not say {:?}: {result}", self.says);
        for (place, value) in &self.holds {
            assert_eq!(result["structuredContent"].pointer(place), Some(value), "{tool} at {place}: {result}");
        }
    }
}

/// At least one call of each server, in this order.
pub(super) fn forwarded(ground: &Ground) -> Vec<Call> {
    let boat = json!({ "name": "Boat", "entityType": "thing", "observations": ["it floats"] });
    let thought = json!({ "thought": "so far", "thoughtNumber": 1, "totalThoughts": 2, "nextThoughtNeeded": true });
    let file = ground.repository().join("note.md");
    vec![
        Call::new("everything__echo", json!({ "message": "hello" }), "Echo: hello"),
        Call::new("filesystem__write_file", json!({ "path": file, "content": "ahoy" }), "Successfully wrote"),
        Call::new("filesystem__read_text_file", json!({ "path": file }), "ahoy").holds("/content", "ahoy"),
        Call::new("memory__create_entities", json!({ "entities": [boat] }), "Boat").holds("/entities/0", boat.clone()),
        Call::new("memory__read_graph", json!({}), "it floats").holds("/entities/0", boat),
        Call::new("git__git_log", json!({ "repo_path": ".", "max_count": 2 }), "Add the third file"),
        Call::new("time__get_current_time", json!({ "timezone": "Etc/UTC" }), "+00:00").holds("/is_dst", false),
        Call::new("sequential-thinking__sequentialthinking", thought, "\"thoughtNumber\"").holds("/totalThoughts", 2),
        Call::new("fetch__fetch", json!({ "url": ground.site.page() }), "High water is at noon"),
    ]
}

/// A run of a workflow that the caller writes: three servers, two of them at once.
pub(super) fn inline() -> Call {
    let definition = json!({
        "name": "quick",
        "steps": [
            {
                "id": "both",
                "parallel": {
                    "echo": { "tool": "everything.echo", "args": { "message": "inline" } },
                    "clock": { "tool": "time.get_current_time", "args": { "timezone": "Etc/UTC" } },
                },
            },
            {
                "id": "thought",
                "tool": "sequential-thinking.sequentialthinking",
                "args": {
                    "thought": "${steps.both.output.echo.text} at ${steps.both.output.clock.datetime}",
                    "thoughtNumber": 3,
                    "totalThoughts": 3,
                    "nextThoughtNeeded": false,
                },
            },
        ],
        "output": { "said": "$steps.both.output.echo.text", "thoughts": "$steps.thought.output.totalThoughts" },
    });
    Call::new("run_workflow", json!({ "definition": definition }), "completed")
        .holds("/output", json!({ "said": "Echo: inline", "thoughts": 3 }))
}

/// The digest, a workflow over four servers and another workflow.
pub(super) fn digest() -> Call {
    Call::new("release_digest", json!({ "file": "digest.md", "name": "digest" }), "digest.md").holds("/commits", 3)
}

/// The shipped workflows but the digest, each in what it is for.
pub(super) fn shipped(ground: &Ground) -> Vec<Call> {
    let (page, missing) = (ground.site.page(), ground.site.missing_page());
    let facts = json!({ "name": "Harbour", "kind": "place", "facts": ["it is open"], "part_of": "Town" });
    vec![
        Call::new("project_overview", json!({}), "third.txt").holds("/commits/0/subject", "Add the third file"),
        Call::new("read_page", json!({ "url": page, "remember_as": "Tides" }), "High water").holds("/was_read", true),
        Call::new("read_page", json!({ "url": missing, "otherwise": "no tides" }), "no tides")
            .holds("/text", "no tides")
            .holds("/was_read", false),
        Call::new("remember", facts.clone(), "Harbour").holds("/was_new", true),
        Call::new("remember", facts, "Harbour").holds("", json!({ "name": "Harbour", "was_new": false, "added": [] })),
    ]
}

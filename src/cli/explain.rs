//! `explain`: what a code means, with an example and what to do.

use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::terminal::Terminal;
use crate::model::explain::{Explanation, all, find};

/// Explains `code`, or lists all codes.
pub fn explain(code: Option<&str>, terminal: Terminal) -> Exit {
    let Some(code) = code else {
        let list: Vec<_> = all().collect();
        terminal.data(&if terminal.is_json {
            format!("{:#}", list.iter().map(to_json).collect::<Value>())
        } else {
            list.iter().map(|one| format!("{}  {}", one.code, one.meaning)).collect::<Vec<_>>().join("\n")
        });
        return Exit::Ok;
    };
    match find(code) {
        Ok(found) if terminal.is_json => terminal.data(&format!("{:#}", to_json(&found))),
        Ok(found) => terminal.data(&format!("{}: {}\n\n{}", found.code, found.meaning, found.text)),
        Err(near) => {
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            terminal.error(&format!("there is no code `{code}`{near}"));
            if !terminal.is_json {
                terminal.note("hint: `mcp-orchestrator explain` lists them");
            }
            return Exit::Usage;
        }
    }
    Exit::Ok
}

fn to_json(one: &Explanation) -> Value {
    json!({ "code": one.code.as_str(), "meaning": one.meaning, "text": one.text })
}

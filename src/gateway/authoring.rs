//! `save_workflow`: what a caller has written becomes a file, and a tool of its own. Only where the operator allows it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::document::format::Format;
use crate::document::parse::parse;
use crate::document::write::write;
use crate::gateway::builtin::{arguments, guess, invalid};
use crate::gateway::door::Gateway;
use crate::gateway::reply;
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::problem::Source;
use crate::workflow::authored;

/// In which folder the file of a workflow of this name is found, at the next start, too, and in which language; nothing if none is looked for.
pub type Place = Box<dyn Fn(&str) -> Option<(PathBuf, Format)> + Send + Sync>;

/// The arguments of `save_workflow`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaveArguments {
    definition: Value,
    #[serde(default)]
    replace: bool,
}

impl Gateway {
    /// Lets callers save workflows where `place` says.
    pub fn allow_authoring(&self, place: Place) {
        // Who allows it twice means the same place.
        let _ = self.authoring.set(place);
        self.rebuild();
    }

    pub(super) async fn save_workflow(&self, call: &Call) -> Result<Reply, Fault> {
        let SaveArguments { definition, replace } = arguments(call)?;
        let Some(place) = self.authoring.get() else {
            return Err(Fault::new(Kind::Denied, code::NOT_ALLOWED, "workflows cannot be saved here")
                .hint("start the program with `serve --allow-authoring`"));
        };
        let workflow = self.inline(&definition, call.profile.as_ref()).await?;
        let name = Arc::clone(&workflow.name);
        let (folder, format) = place(&name).ok_or_else(|| {
            invalid(format!("no workflow file called `{name}` is looked for, so that it would not be found again"))
                .hint("give it another name, or have a folder named by `workflows` of the registry")
        })?;
        let path = folder.join(format!("{name}.{}", format.extension()));
        let text = text(&definition, format).map_err(invalid)?;
        // One at a time: of two that save the same name, the second has to know of the first.
        let _saving = self.saving.lock().await;
        if let Some(other) = self.workflows().get(&name) {
            let is_ours = Path::new(&*other.source.name) == path;
            if !replace || !is_ours {
                let fault = Fault::new(
                    Kind::Invalid,
                    code::DUPLICATE,
                    format!("there is a workflow `{name}` already, in {}", other.source.name),
                );
                return Err(fault.hint(if is_ours {
                    "give it another name, or say `replace: true`"
                } else {
                    "give it another name"
                }));
            }
        }
        let written = path.clone();
        let saved = text.clone();
        let result = tokio::task::spawn_blocking(move || put(&written, &saved)).await;
        result.map_err(|error| error.to_string()).and_then(|done| done.map_err(|error| error.to_string())).map_err(
            |why| {
                let message = format!("{} cannot be written: {why}", path.display());
                Fault::new(Kind::Internal, code::FILE_UNREADABLE, message)
            },
        )?;
        // As it will be read at the next start.
        let (again, _) = authored::read(&Source::new(path.to_string_lossy(), text), format);
        let workflow =
            again.ok_or_else(|| Fault::new(Kind::Internal, code::INTERNAL, "what was saved cannot be read"))?;
        self.workflows.store(Arc::new(self.workflows().with(workflow)));
        self.rebuild();
        let structured = json!({ "workflow": &*name, "file": path.to_string_lossy() });
        Ok(reply::success(
            &structured,
            &format!("`{name}` is saved in {} and is a tool of its own now", path.display()),
        ))
    }
}

/// The definition as the text of a file: as it was written, if it was written in this language.
fn text(definition: &Value, format: Format) -> Result<String, String> {
    let json = match definition {
        Value::String(text) if guess(text) == format => return Ok(text.clone()),
        Value::String(text) => {
            parse(&Source::new("definition", text), guess(text)).map_err(|problem| problem.to_string())?.to_json()
        }
        other => other.clone(),
    };
    write(&json, format)
}

/// Writes a file so that it is there as a whole, or as it was.
fn put(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    let draft = path.with_extension(format!("{}.draft", uuid::Uuid::new_v4().simple()));
    std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, path)).inspect_err(|_| {
        // What is left of it is of no use.
        let _ = std::fs::remove_file(&draft);
    })
}

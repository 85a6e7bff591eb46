//! One tool, prompt, resource or resource template that a server offers.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::chain::Hops;
use crate::model::effect::Effect;

/// What kind of thing an [`Entry`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Called by `tools/call`.
    Tool,
    /// Fetched by `prompts/get`.
    Prompt,
    /// Read by `resources/read` under its exact URI.
    Resource,
    /// Read by `resources/read` under any URI that fits its RFC 6570 template.
    Template,
}

impl Kind {
    /// The list method of this kind.
    pub fn list_method(self) -> &'static str {
        match self {
            Self::Tool => "tools/list",
            Self::Prompt => "prompts/list",
            Self::Resource => "resources/list",
            Self::Template => "resources/templates/list",
        }
    }

    /// The key that holds the definitions in a list result.
    pub fn list_key(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Prompt => "prompts",
            Self::Resource => "resources",
            Self::Template => "resourceTemplates",
        }
    }

    /// The key of a definition that identifies it within its server.
    pub fn id_key(self) -> &'static str {
        match self {
            Self::Tool | Self::Prompt => "name",
            Self::Resource => "uri",
            Self::Template => "uriTemplate",
        }
    }

    /// Every kind, in the order in which servers are asked.
    pub const ALL: [Self; 4] = [Self::Tool, Self::Prompt, Self::Resource, Self::Template];
}

/// A definition as its server gave it, unknown keys included.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The server's name in the registry.
    pub server: Arc<str>,
    /// The name (tools, prompts), URI (resources) or URI template (templates) that the server knows it by.
    pub id: String,
    /// The whole definition object.
    pub definition: Map<String, Value>,
    /// What calling it may do; [`Effect::Read`] for everything but tools.
    pub effect: Effect,
    /// The orchestrators that it has come through.
    pub path: Hops,
}

impl Entry {
    /// A string field of the definition, such as `title` or `description`.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.definition.get(key)?.as_str()
    }
}

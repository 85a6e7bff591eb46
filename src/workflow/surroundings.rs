//! What a workflow is checked and planned against: the servers, tools and workflows that exist.

use std::sync::Arc;

use serde_json::Value;

use crate::model::effect::Effect;
use crate::model::name::ToolRef;

/// What is known of a tool or of a workflow as a tool.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What calling it may do.
    pub effect: Effect,
    /// The JSON Schema of its arguments.
    pub input_schema: Option<Arc<Value>>,
    /// The JSON Schema of its structured result.
    pub output_schema: Option<Arc<Value>>,
}

/// The servers, tools and workflows that exist, as far as is known now.
pub trait Surroundings {
    /// The names of all servers of the registry.
    fn servers(&self) -> Vec<String>;
    /// The names of all tools of `server`; `None` while it has not been heard of.
    fn tools_of(&self, server: &str) -> Option<Vec<String>>;
    /// A tool, if it is known.
    fn tool(&self, tool: &ToolRef) -> Option<Facts>;
    /// The names of all workflows.
    fn workflows(&self) -> Vec<String>;
    /// A workflow as a tool, if it exists.
    fn workflow(&self, name: &str) -> Option<Facts>;
    /// Who can do the job that `tool` names; `None` if it names no job.
    fn providers(&self, _tool: &ToolRef) -> Option<Vec<String>> {
        None
    }
    /// The names of all flags; `None` if that is not known.
    fn flags(&self) -> Option<Vec<String>> {
        None
    }
    /// The names of all models; `None` if that is not known.
    fn models(&self) -> Option<Vec<String>> {
        None
    }
    /// What `agent` steps may name: agents, and what they are good at; `None` if that is not known.
    fn agents(&self) -> Option<Vec<String>> {
        None
    }
    /// What an agent may do, if it is known.
    fn agent(&self, _name: &str) -> Option<Effect> {
        None
    }
}

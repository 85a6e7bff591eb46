//! The resources.

use rmcp::model::{ErrorData, ReadResourceResult, Resource, ResourceTemplate};
use serde_json::json;

use crate::content;

pub(crate) const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
const WATCHED: &str = "test://watched-resource";

pub(crate) fn all() -> Vec<Resource> {
    vec![
        Resource::new(TEXT, "static-text").with_description("A text that never changes.").with_mime_type("text/plain"),
        Resource::new(BINARY, "static-binary").with_description("A red pixel.").with_mime_type("image/png"),
        Resource::new(WATCHED, "watched-resource")
            .with_description("A text to be subscribed to.")
            .with_mime_type("text/plain"),
    ]
}

pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = ResourceTemplate::new("test://template/{id}/data", "template");
    vec![template.with_description("Data by its id.").with_mime_type("application/json")]
}

pub(crate) fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let contents = match uri {
        TEXT => content::text(uri, "text/plain", "This is the content of the static text resource."),
        BINARY => content::picture(uri),
        WATCHED => content::text(uri, "text/plain", "This is the content of the watched resource."),
        _ => {
            let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
            let Some(id) = id.filter(|id| !id.is_empty() && !id.contains('/')) else {
                return Err(ErrorData::resource_not_found("Resource not found", Some(json!({ "uri": uri }))));
            };
            let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
            content::text(uri, "application/json", data.to_string())
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

//! Where more servers come from than the registry files that a user names: `[discovery]`.

use crate::document::node::Node;
use crate::document::reader::Reader;
use crate::registry::naming::legal_name;
use crate::registry::settings::{boolean, texts};
use crate::registry::source::{self, Sources};

/// What variables of servers begin with.
const PREFIX: &str = "MCP_SERVER_";

/// The sources of more servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Files and globs of registries, other clients' files and `server.json`, relative to the file that names them.
    pub include: Vec<String>,
    /// Whether `MCP_SERVER_NAME_URL` and `MCP_SERVER_NAME_COMMAND` in the environment mean servers.
    pub environment: bool,
    /// Sources that change by themselves.
    pub sources: Sources,
}

/// Reads `[discovery]`; every file adds to it.
pub(super) fn read(reader: &mut Reader, node: &Node, discovery: &mut Discovery) {
    let Some(mut table) = reader.table(node, "discovery") else { return };
    discovery.include.extend(texts(reader, &mut table, "include").unwrap_or_default());
    discovery.environment |= boolean(reader, &mut table, "environment").unwrap_or(false);
    if let Some(node) = table.take("sources") {
        source::read(reader, node, &mut discovery.sources);
    }
    table.finish(reader);
}

/// The servers of these variables as a registry in the words of other clients, or `None` if there are none.
///
/// `MCP_SERVER_GITHUB_URL` is the address of `github`, and `MCP_SERVER_GITHUB_TOKEN`, if it is set, the bearer token for it;
/// `MCP_SERVER_GITHUB_COMMAND` is a command line. Values are named, not repeated, so that no secret is stored or shown.
pub fn from_environment(variables: impl Iterator<Item = (String, String)>) -> Option<Result<String, String>> {
    let mut variables: Vec<_> = variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    let has = |name: &str| variables.iter().any(|(known, value)| known == name && !value.is_empty());
    let mut servers = serde_json::Map::new();
    for (variable, value) in &variables {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let (name, entry) = if let Some(name) = rest.strip_suffix("_URL") {
            let token = format!("{PREFIX}{name}_TOKEN");
            let mut entry = serde_json::json!({ "url": format!("${{{variable}}}") });
            if has(&token) {
                entry["headers"] = serde_json::json!({ "Authorization": format!("Bearer ${{{token}}}") });
            }
            (name, entry)
        } else if let Some(name) = rest.strip_suffix("_COMMAND") {
            let Some(words) = shlex::split(value).filter(|words| !words.is_empty()) else {
                return Some(Err(format!("`{variable}` is no command line: a quote is not closed, or it is empty")));
            };
            let words: Vec<_> = words.into_iter().map(|word| word.replace("${", "$${")).collect();
            (name, serde_json::json!({ "command": words[0], "args": words[1..] }))
        } else {
            continue;
        };
        let name = legal_name(&name.to_ascii_lowercase());
        if servers.insert(name.clone(), entry).is_some() {
            return Some(Err(format!("the environment has two servers `{name}`; `{variable}` is the second")));
        }
    }
    (!servers.is_empty()).then(|| Ok(serde_json::json!({ "mcpServers": servers }).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(variables: &[(&str, &str)]) -> Option<Result<Value, String>> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Some(from_environment(variables)?.map(|text| serde_json::from_str(&text).expect("JSON")))
    }

    #[test]
    fn variables_are_servers_whose_secrets_stay_where_they_are() {
        let found = read(&[
            ("MCP_SERVER_DOCS_URL", "https://secret@docs.example"),
            ("MCP_SERVER_DOCS_TOKEN", "secret"),
            ("MCP_SERVER_MY_FILES_COMMAND", "npx -y 'a b' ${x}"),
            ("HOME", "/"),
        ]);
        let docs = json!({ "url": "${MCP_SERVER_DOCS_URL}", "headers": { "Authorization": "Bearer ${MCP_SERVER_DOCS_TOKEN}" } });
        let files = json!({ "command": "npx", "args": ["-y", "a b", "$${x}"] });
        assert_eq!(found, Some(Ok(json!({ "mcpServers": { "docs": docs, "my_files": files } }))));
        assert_eq!(read(&[("HOME", "/")]), None);
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        let said = read(&[("MCP_SERVER_A_COMMAND", "x 'y")]).expect("something").expect_err("a problem");
        assert!(said.contains("`MCP_SERVER_A_COMMAND` is no command line"), "{said}");
        let twice = read(&[("MCP_SERVER_A_COMMAND", "x"), ("MCP_SERVER_A_URL", "http://x.example")]);
        assert!(twice.expect("something").expect_err("a problem").contains("two servers `a`"));
    }
}

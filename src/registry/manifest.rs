//! The official registry's description of a server, `server.json`, as an entry of ours.
//!
//! Schema 2025-12-11: <https://github.com/modelcontextprotocol/registry/blob/main/docs/reference/server-json>. A package is
//! started by its ecosystem's launcher; without one that we know, the first remote endpoint is used. What a user has to fill in
//! becomes a variable of the environment.

use crate::document::node::{Field, Node, Value};
use crate::model::problem::Span;
use crate::registry::naming::legal_name;

/// What packages of an ecosystem are started by: its name, the launcher, what stands before the package, and what stands
/// between it and its version.
const LAUNCHERS: [(&str, &str, &[&str], &str); 4] = [
    ("npm", "npx", &["-y"], "@"),
    ("pypi", "uvx", &[], "=="),
    ("oci", "docker", &["run", "-i", "--rm"], ":"),
    ("nuget", "dnx", &["--yes"], "@"),
];

/// Whether a file is such a description.
pub(super) fn is_manifest(root: &Node) -> bool {
    root.get("name").and_then(Node::as_text).is_some()
        && (root.get("packages").is_some() || root.get("remotes").is_some())
}

/// The server of the description `root` in the words of other clients: its name and how it is reached. `None` if none of its
/// packages and endpoints is of a kind that we know.
pub(super) fn entry(root: &Node) -> Option<Field> {
    let packages = root.get("packages").map(list).unwrap_or_default();
    match packages.iter().find_map(package) {
        Some(value) => field(root, value),
        None => remote_entry(root),
    }
}

/// The same for those who may not start programs.
pub(super) fn remote_entry(root: &Node) -> Option<Field> {
    let remotes = root.get("remotes").map(list).unwrap_or_default();
    field(root, remotes.iter().find_map(remote)?)
}

fn field(root: &Node, value: Node) -> Option<Field> {
    let name = root.get("name")?;
    let last = name.as_text()?.rsplit('/').next().unwrap_or_default();
    Some(Field { key: legal_name(last), key_span: name.span.clone(), value })
}

fn package(package: &Node) -> Option<Node> {
    let transport = package.get("transport").and_then(|transport| word(transport, "type")).unwrap_or("stdio");
    let kind = word(package, "registryType")?;
    let (_, launcher, before, between) = LAUNCHERS.iter().find(|(name, ..)| *name == kind)?;
    if transport != "stdio" {
        return None;
    }
    let span = &package.span;
    let identifier = word(package, "identifier")?;
    let versioned = match word(package, "version") {
        // A container's tag stands in its identifier already.
        Some(version) if kind != "oci" || !identifier.rsplit('/').next()?.contains([':', '@']) => {
            format!("{identifier}{between}{version}")
        }
        _ => identifier.to_owned(),
    };
    let variables = package.get("environmentVariables").map(list).unwrap_or_default();
    // What a container is to see of its environment has to be said.
    let passed = variables.iter().filter(|_| kind == "oci").filter_map(|variable| word(variable, "name"));
    let passed = passed.flat_map(|name| ["-e".to_owned(), name.to_owned()]);
    let runtime = arguments(package, "runtimeArguments");
    let before = before.iter().map(|&word| word.to_owned());
    let args = before.chain(passed).chain(runtime).chain([escaped(&versioned)]);
    let args = args.chain(arguments(package, "packageArguments")).map(|word| text(span, word)).collect();
    Some(table(
        span,
        vec![
            ("command", text(span, (*launcher).to_owned())),
            ("args", Node { span: span.clone(), value: Value::List(args) }),
            ("env", named(span, variables)),
        ],
    ))
}

fn remote(remote: &Node) -> Option<Node> {
    let kind = word(remote, "type").filter(|kind| ["streamable-http", "sse"].contains(kind))?;
    let span = &remote.span;
    let url = filled(word(remote, "url")?, remote.get("variables"));
    let headers = remote.get("headers").map(list).unwrap_or_default();
    Some(table(
        span,
        vec![("type", text(span, kind.to_owned())), ("url", text(span, url)), ("headers", named(span, headers))],
    ))
}

/// `environmentVariables` or `headers`. One that is neither given nor required is left out.
fn named(span: &Span, inputs: &[Node]) -> Node {
    let fields = inputs.iter().filter_map(|input| {
        let name = input.get("name")?;
        let value = value(input, name.as_text()?)?;
        Some(Field { key: name.as_text()?.to_owned(), key_span: name.span.clone(), value: text(&input.span, value) })
    });
    Node { span: span.clone(), value: Value::Table(fields.collect()) }
}

/// The words of a list of arguments.
fn arguments(package: &Node, key: &str) -> Vec<String> {
    let mut words = Vec::new();
    for argument in package.get(key).map(list).unwrap_or_default() {
        let name = word(argument, "name");
        let hint = name.or_else(|| word(argument, "valueHint")).unwrap_or("argument");
        let value = value(argument, hint);
        match (word(argument, "type") == Some("named"), name, value) {
            (true, Some(name), Some(value)) => words.extend([escaped(name), value]),
            (false, _, Some(value)) => words.push(value),
            _ => {}
        }
    }
    words
}

/// What an input is set to: what is given, else a variable that the user sets.
fn value(input: &Node, name: &str) -> Option<String> {
    if let Some(given) = word(input, "value") {
        return Some(filled(given, input.get("variables")));
    }
    match word(input, "default") {
        Some(default) => Some(placeholder(name, Some(default))),
        None if flag(input, "isRequired") || flag(input, "isSecret") => Some(placeholder(name, None)),
        None => None,
    }
}

/// The text with `{name}` as variables of the environment.
fn filled(written: &str, variables: Option<&Node>) -> String {
    let mut filled = String::new();
    let mut rest = written;
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((name, after)) = behind.split_once('}') else { break };
        filled += &escaped(before);
        let default = variables.and_then(|all| word(all.get(name)?, "default"));
        filled += &placeholder(name, default);
        rest = after;
    }
    filled + &escaped(rest)
}

fn placeholder(name: &str, default: Option<&str>) -> String {
    let letters = name.trim_start_matches('-').chars();
    let variable: String =
        letters.map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' }).collect();
    match default.filter(|default| !default.contains(['}', '$'])) {
        Some(default) => format!("${{{variable}:-{default}}}"),
        None => format!("${{{variable}}}"),
    }
}

/// Text in which nothing is a placeholder.
fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

fn flag(input: &Node, key: &str) -> bool {
    input.get(key).is_some_and(|node| node.value == Value::Bool(true))
}

fn list(node: &Node) -> &[Node] {
    if let Value::List(items) = &node.value { items } else { &[] }
}

fn word<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key)?.as_text()
}

fn text(span: &Span, text: String) -> Node {
    Node { span: span.clone(), value: Value::Text(text) }
}

fn table(span: &Span, fields: Vec<(&str, Node)>) -> Node {
    let fields = fields.into_iter().map(|(key, value)| Field { key: key.to_owned(), key_span: span.clone(), value });
    Node { span: span.clone(), value: Value::Table(fields.collect()) }
}

#[cfg(test)]
mod tests;

//! What a source may bring.

use serde_json::{Value, json};

use super::*;
use crate::registry::load::load_with;
use crate::registry::server::Registry;

const LOCAL: &str = "[discovery.sources.s]\ncommand = \"list\"\nallow_commands = true\nvariables = [\"GIVEN\"]\n";
const FAR: &str = "[discovery.sources.s]\nurl = \"https://x.example/all\"\n[servers.mine]\ncommand = \"mine\"\n";

/// What comes of a source that names `server` as `name`, or of this description.
fn found(files: &str, documents: &[Value]) -> (Registry, Vec<String>) {
    let files = [Source::new("registry.toml", files)];
    let (alone, _) = load_with(&files, &[]);
    let by = &alone.discovery.sources["s"];
    let found: Vec<_> = documents
        .iter()
        .map(|document| Found {
            name: String::new(),
            source: Source::new(by.title(), document.to_string()),
            by: Arc::clone(by),
        })
        .collect();
    let (registry, problems) = load_with(&files, &found);
    assert!(!problems.iter().any(Problem::is_error), "nothing is wrong with the files: {problems:?}");
    (registry, problems.iter().map(ToString::to_string).collect())
}

fn named(name: &str, server: &Value) -> Value {
    json!({ "mcpServers": { name: server } })
}

#[test]
fn an_address_is_a_server_that_is_not_believed_and_not_required() {
    let server = json!({
        "url": "http://10.0.0.1:80/mcp", "required": true, "trusted": true, "replicas": [{ "url": "http://10.0.0.2/mcp" }],
        "tools": { "wipe": { "effect": "read" } },
    });
    let (registry, problems) = found(FAR, &[named("docs", &server)]);
    assert_eq!(problems, [""; 0]);
    let docs = &registry.servers["docs"];
    assert!(!docs.required && !docs.trusted && docs.tools.get("wipe").is_none());
    assert_eq!(docs.replicas.others.len(), 1);
    assert_eq!(&*registry.origins["docs"], "discovery.sources.s");
}

#[test]
fn the_servers_of_the_files_come_first_whatever_a_source_says() {
    let files = FAR.replace("command = \"mine\"", "command = \"mine\"\npriority = 1000000");
    let documents = [("first", 0), ("last", 1_000_000)]
        .map(|(name, priority)| named(name, &json!({ "url": "http://10.0.0.1/mcp", "priority": priority })));
    let (registry, problems) = found(&files, &documents);
    assert_eq!(problems, [""; 0]);
    let mut names: Vec<_> = registry.servers.values().map(|server| (server.priority, &*server.name)).collect();
    names.sort_unstable();
    assert_eq!(names.into_iter().map(|(_, name)| name).collect::<Vec<_>>(), ["mine", "first", "last"]);
}

#[test]
fn what_a_source_may_not_bring_is_refused_with_the_reason() {
    let manifest = json!({
        "name": "io.example/pack", "version": "1",
        "packages": [{ "registryType": "npm", "identifier": "x", "transport": { "type": "stdio" } }],
    });
    let replica = json!({ "url": "http://a.example/mcp", "replicas": [{ "command": "rm" }] });
    for (document, part) in [
        (named("a", &json!({ "command": "rm", "args": ["-rf"] })), "it is a program"),
        (named("a", &replica), "it is a program"),
        (named("a", &json!({ "url": "unix:///run/docker.sock" })), "neither of http nor of https"),
        (named("a", &json!({ "url": "https://evil.example/${AWS_SECRET}" })), "wants `AWS_SECRET`"),
        (
            named("a", &json!({ "url": "https://x.example", "headers": { "K": "${file:/etc/passwd}" } })),
            "`file:/etc/passwd`",
        ),
        (manifest, "no remote endpoint"),
        (named("mine", &json!({ "url": "https://x.example/mcp" })), "already defined by registry.toml"),
    ] {
        let (registry, problems) = found(FAR, std::slice::from_ref(&document));
        assert!(problems.iter().any(|problem| problem.contains(part)), "{document}: {problems:?}");
        assert_eq!(registry.servers.keys().map(AsRef::as_ref).collect::<Vec<_>>(), ["mine"], "{document}");
    }
}

#[test]
fn a_source_that_is_allowed_to_names_programs_and_variables() {
    let server = json!({ "command": "x", "env": { "K": "${GIVEN}" } });
    let (registry, problems) = found(LOCAL, &[named("a", &server), named("b", &json!({ "command": "${OTHER}" }))]);
    assert!(registry.servers.contains_key("a") && !registry.servers.contains_key("b"), "{problems:?}");
    assert!(problems[0].contains("[MO1012]") && problems[0].contains("`OTHER`"), "{problems:?}");
}

#[test]
fn names_that_are_still_to_be_found_are_no_mistake_of_the_files() {
    let files = format!("{FAR}fallback = [\"docs\"]\n[capabilities.\"web.search\"]\nmembers = [\"docs.search\"]\n");
    let (registry, problems) = found(&files, &[]);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(registry.servers["mine"].fallback.is_empty());
    let (registry, problems) = found(&files, &[named("docs", &json!({ "url": "https://x.example/mcp" }))]);
    assert_eq!(problems, [""; 0]);
    assert_eq!(registry.servers["mine"].fallback.len(), 1);
}

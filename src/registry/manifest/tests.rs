//! Descriptions of the official registry become servers that start.

use serde_json::{Value, json};

use crate::model::problem::Source;
use crate::registry::load::load;
use crate::registry::server::Launch;

/// The command and its arguments, or the URL, and what goes along by name.
fn read(manifest: &Value) -> (String, Vec<String>, Vec<String>) {
    let (registry, problems) = load(&[Source::new("server.json", manifest.to_string())]);
    assert!(problems.is_empty(), "{problems:?}");
    let server = registry.servers.get("weather").expect("the server");
    let pairs = |all: &std::collections::BTreeMap<String, crate::registry::text::Text>| {
        all.iter().map(|(name, text)| format!("{name}={}", text.as_written())).collect()
    };
    match &server.launch {
        Launch::Command(command) => {
            let args = command.args.iter().map(|word| word.as_written().to_owned()).collect();
            (command.command.as_written().to_owned(), args, pairs(&command.env))
        }
        Launch::Url(address) => (address.url.as_written().to_owned(), Vec::new(), pairs(&address.headers)),
    }
}

fn packaged(package: &Value) -> Value {
    json!({ "name": "io.github.example/weather", "version": "1.0.2", "packages": [package] })
}

#[test]
fn packages_are_started_by_the_launcher_of_their_ecosystem() {
    for (kind, identifier, command, args) in [
        ("npm", "@example/weather", "npx", &["-y", "@example/weather@1.0.2"][..]),
        ("pypi", "weather", "uvx", &["weather==1.0.2"]),
        ("oci", "docker.io/example/weather", "docker", &["run", "-i", "--rm", "docker.io/example/weather:1.0.2"]),
        ("oci", "docker.io/example/weather:7", "docker", &["run", "-i", "--rm", "docker.io/example/weather:7"]),
        ("nuget", "Weather", "dnx", &["--yes", "Weather@1.0.2"]),
    ] {
        let read = read(&packaged(
            &json!({ "registryType": kind, "identifier": identifier, "version": "1.0.2", "transport": { "type": "stdio" } }),
        ));
        assert_eq!((read.0.as_str(), read.1), (command, args.iter().map(|&word| word.to_owned()).collect()));
    }
}

#[test]
fn what_a_user_has_to_fill_in_comes_from_the_environment() {
    let (_, args, env) = read(&packaged(&json!({
        "registryType": "npm", "identifier": "weather",
        "packageArguments": [
            { "type": "named", "name": "--units", "default": "metric" },
            { "type": "named", "name": "--quiet", "isRequired": true },
            { "type": "positional", "valueHint": "home_city", "isRequired": true },
            { "type": "positional", "value": "at-{place}", "variables": { "place": { "default": "home" } } },
            { "type": "positional", "valueHint": "optional" },
        ],
        "environmentVariables": [
            { "name": "API_KEY", "isRequired": true, "isSecret": true },
            { "name": "MODE", "value": "fast" },
            { "name": "OPTIONAL" },
        ],
    })));
    assert_eq!(
        args,
        ["-y", "weather", "--units", "${UNITS:-metric}", "--quiet", "${QUIET}", "${HOME_CITY}", "at-${PLACE:-home}"]
    );
    assert_eq!(env, ["API_KEY=${API_KEY}", "MODE=fast"]);
}

#[test]
fn a_container_is_told_which_variables_it_sees() {
    let package = json!({ "registryType": "oci", "identifier": "x/weather:1", "environmentVariables": [{ "name": "KEY", "isSecret": true }] });
    assert_eq!(read(&packaged(&package)).1, ["run", "-i", "--rm", "-e", "KEY", "x/weather:1"]);
}

#[test]
fn without_a_package_that_is_known_the_endpoint_is_used() {
    let remote = json!({ "type": "streamable-http", "url": "https://{tenant}.example.com/mcp",
        "headers": [{ "name": "Authorization", "value": "Bearer {token}", "isSecret": true }] });
    let mut manifest = packaged(&json!({ "registryType": "mcpb", "identifier": "x" }));
    manifest["remotes"] = json!([remote]);
    let (url, _, headers) = read(&manifest);
    assert_eq!(
        (url.as_str(), headers),
        ("https://${TENANT}.example.com/mcp", vec!["Authorization=Bearer ${TOKEN}".to_owned()])
    );
}

#[test]
fn a_description_of_nothing_that_is_known_is_a_problem_of_the_file() {
    let manifest = packaged(&json!({ "registryType": "mcpb", "identifier": "x" }));
    let (_, problems) = load(&[Source::new("server.json", manifest.to_string())]);
    assert!(problems.len() == 1 && problems[0].message.contains("no server of a kind that is known"), "{problems:?}");
}

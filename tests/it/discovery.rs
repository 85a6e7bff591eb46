//! Servers that come from elsewhere than the registry: files beside it, other clients' files, the environment.

use serde_json::json;

use crate::support::launch::fixture_path;
use crate::support::{Test, fixture};

#[test]
fn files_beside_the_registry_and_variables_are_servers_too() {
    let program = fixture_path();
    let theirs = json!({ "mcpServers": { "east": { "command": program, "args": ["healthy"] } } }).to_string();
    let ours =
        format!("[servers.west]\ncommand = {program:?}\nargs = [\"healthy\"]\ntools = {{ deny = [\"fail\"] }}\n");
    let mut host = Test::new()
        .registry("[discovery]\ninclude = [\"registry.d/*\", \"registry.d/west.toml\"]\nenvironment = true\n")
        .server("north", fixture(["healthy"]))
        .file("registry.d/east.json", &theirs)
        .file("registry.d/west.toml", &ours)
        .env("MCP_SERVER_SOUTH_COMMAND", &format!("'{}' healthy", program.display()))
        .start();
    host.ready(&["north", "east", "west", "south"]);
    for name in ["north__echo", "east__echo", "west__echo", "south__echo"] {
        assert_eq!(host.call(name, json!({ "a": 1 }))["structuredContent"], json!({ "a": 1 }));
    }
}

#[test]
fn what_is_wrong_with_a_found_file_is_said_and_leaves_the_others() {
    let test = Test::new()
        .registry("[discovery]\ninclude = [\"more/*.json\"]\nenvironment = true\n")
        .server("north", fixture(["healthy"]))
        .file("more/broken.json", "{ \"mcpServers\": { \"east\": { \"url\": 1 } } }")
        .file("more/nothing.json", "{ \"name\": \"io.github.example/x\", \"packages\": [] }")
        .env("MCP_SERVER_SOUTH_COMMAND", "x 'y");
    let checked = test.run(&["check"]);
    assert_eq!(checked.code, 2, "{}", checked.stderr);
    let told = format!("{}{}", checked.stdout, checked.stderr);
    for part in ["more/broken.json:1:", "more/nothing.json:1:", "`MCP_SERVER_SOUTH_COMMAND` is no command line"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    let mut host = test.start();
    host.ready(&["north"]);
}

#[test]
fn a_description_of_the_official_registry_is_a_server() {
    let manifest = json!({
        "name": "io.github.example/weather", "version": "1.0.0",
        "remotes": [{ "type": "streamable-http", "url": "http://127.0.0.1:{port}/mcp" }],
    });
    let test = Test::new()
        .registry("[discovery]\ninclude = [\"server.json\"]\n")
        .file("server.json", &manifest.to_string())
        .env("PORT", "1");
    let listed = test.run(&["status"]);
    let told = format!("{}{}", listed.stdout, listed.stderr);
    assert!(told.contains("weather") && told.contains("refused"), "{told}");
}

//! What the files were, and back to it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{DEADLINE, Test, eventually, fixture};

/// What a command writes to standard output, if it succeeds.
fn told(command: &mut Command) -> Result<String, String> {
    let output = command.output().expect("the binary can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// The texts of all files below a folder.
fn everything(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .map(|path| if path.is_dir() { everything(&path) } else { fs::read_to_string(path).unwrap_or_default() })
        .collect()
}

#[test]
fn the_files_go_back_to_what_they_were_and_secrets_are_never_kept() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let test = Test::new().server("north", fixture(["healthy"]).env("SECRET", "hunter2"));
    let test = test.workflow("flow", "steps:\n  - { id: a, tool: north.echo }\n");
    let test = test.env("MCP_ORCHESTRATOR_DATA_DIR", &data.path().to_string_lossy());
    let command = |what: &[&str]| test.command(&[&["config"], what].concat());
    let (mut list, mut diff, mut back) =
        (command(&["history", "-o", "json"]), command(&["diff", "1"]), command(&["rollback", "1"]));
    let (mut between, mut missing, mut unknown) =
        (command(&["diff", "1", "2"]), command(&["rollback", "2"]), command(&["rollback", "9"]));
    let mut later = command(&["diff", "1"]);
    let mut host = test.start();
    host.ready(&["north"]);
    let registry = host.home().join("registry.toml");
    let first = fs::read_to_string(&registry).expect("the registry");
    let second = format!("{first}\n{}", first.replace("north", "south").replace("hunter2", "hunter3"));
    fs::write(&registry, &second).expect("the registry");
    host.ready(&["south"]);
    assert!(eventually(DEADLINE, || everything(data.path()).contains("[servers.south]")), "{}", host.stderr());
    let listed: Value = serde_json::from_str(&told(&mut list).expect("a list")).expect("JSON");
    assert_eq!((&listed[0]["revision"], &listed[1]["revision"]), (&json!(2), &json!(1)), "{listed}");
    for difference in [told(&mut diff), told(&mut between)].map(|told| told.expect("a difference")) {
        assert!(difference.contains("+[servers.south]") && !difference.contains("hunter"), "{difference}");
    }
    assert!(!everything(data.path()).contains("hunter"), "no secret is kept");
    let back = told(&mut back);
    assert!(back.is_ok(), "{back:?}");
    assert_eq!(fs::read_to_string(&registry).expect("the registry"), first, "the secret is that of the file");
    let is_gone = eventually(DEADLINE, || !host.tools().iter().any(|tool| tool.starts_with("south__")));
    assert!(is_gone, "{}", host.stderr());
    let why = told(&mut missing).expect_err("a secret is gone");
    assert!(why.contains("servers.south.env.SECRET"), "{why}");
    assert_eq!(fs::read_to_string(&registry).expect("the registry"), first, "nothing was written");
    let why = told(&mut unknown).expect_err("there is no such revision");
    assert!(why.contains("config history"), "{why}");
    fs::write(host.home().join("workflows/later.yaml"), "name: later\nsteps:\n  - { id: a, tool: north.echo }\n")
        .expect("a file");
    let difference = told(&mut later).expect("a difference");
    assert!(difference.contains("later.yaml") && difference.contains("+name: later"), "{difference}");
}

#[test]
fn a_block_of_text_with_an_address_goes_back_to_what_it_was() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let prompt = "steps:\n  - id: a\n    tool: north.echo\n    with:\n      text: |\n        Look it up.\n\n        https://x.test/find?q=hunter1\n";
    let test = Test::new().server("north", fixture(["healthy"])).workflow("flow", prompt);
    let test = test.env("MCP_ORCHESTRATOR_DATA_DIR", &data.path().to_string_lossy());
    let mut back = test.command(&["config", "rollback", "1"]);
    let mut host = test.start();
    host.ready(&["north"]);
    let flow = host.home().join("workflows/flow.yaml");
    let first = fs::read_to_string(&flow).expect("the workflow");
    assert!(eventually(DEADLINE, || everything(data.path()).contains("north.echo")), "{}", host.stderr());
    fs::write(&flow, first.replace("steps:", "description: Another one.\nsteps:")).expect("the workflow");
    assert!(eventually(DEADLINE, || everything(data.path()).contains("Another one.")), "{}", host.stderr());
    assert!(!everything(&data.path().join("revisions")).contains("hunter"), "no secret is kept");
    let back = told(&mut back);
    assert!(back.is_ok(), "{back:?}");
    assert_eq!(fs::read_to_string(&flow).expect("the workflow"), first);
}

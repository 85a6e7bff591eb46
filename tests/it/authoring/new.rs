//! `new`: a draft that is right as it stands.

use std::fs;

use serde_json::json;

use crate::support::{Test, fixture};

fn shop() -> Test {
    Test::new().registry("[orchestrator]\nworkflows = [\"flows/*.yaml\"]\n").server("north", fixture(["healthy"]))
}

#[test]
fn a_draft_takes_its_arguments_from_the_tools() {
    let test = shop();
    let done = test.run(&["new", "relay", "--from-tools", "north.measure,north.sleep,north.measure"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let path = done.stdout.trim();
    assert!(path.ends_with("flows/relay.yaml"), "{path}");
    let draft = fs::read_to_string(path).expect("the draft");
    assert!(draft.starts_with("# yaml-language-server: $schema=.schema/workflow.json\nname: relay\n"), "{draft}");
    for part in [
        "input: { text: string, ms: integer }",
        "- id: measure\n    tool: north.measure\n    args: { text: $input.text }",
        "- id: sleep\n",
        "# may be given, too: tag",
        "- id: measure_2\n",
    ] {
        assert!(draft.contains(part), "{part} is missing in {draft}");
    }
    let schema = test.home().join("flows/.schema/workflow.json");
    assert!(fs::read_to_string(schema).expect("the schema").contains("orchestrator://schema/workflow"));
    let checked = test.run(&["check", "--online"]);
    assert_eq!((checked.code, checked.stdout.trim()), (0, "ok: 1 servers, 1 workflows"), "{}", checked.stderr);
    assert_eq!(test.run(&["fmt", path, "--check"]).code, 0, "{draft}");
}

#[test]
fn a_draft_is_written_where_and_as_it_is_found() {
    let found_by = |pattern: &str| Test::new().registry(&format!("[orchestrator]\nworkflows = [\"{pattern}\"]\n"));
    let test = found_by("flows/*.json");
    let done = test.run(&["new", "hello"]);
    assert!(done.code == 0 && done.stdout.trim().ends_with("flows/hello.json"), "{}{}", done.stdout, done.stderr);
    assert_eq!(test.run(&["run", "hello", "who=Ada"]).json(), json!({ "text": "Hello, Ada!" }));
}

#[test]
fn a_draft_that_nobody_would_find_says_so() {
    let elsewhere = shop();
    let drafts = elsewhere.home().join("drafts").display().to_string();
    let done = elsewhere.run(&["new", "hello", "--dir", &drafts]);
    assert_eq!((done.code, done.stdout.trim()), (0, &*format!("{drafts}/hello.yaml")));
    assert!(done.stderr.contains("no workflow is looked for there"), "{}", done.stderr);
    assert!(done.stderr.contains(&format!("hint: say `workflows = [\"{drafts}\"]`")), "{}", done.stderr);
    let done = elsewhere.run(&["new", "hello"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "this one is found");
}

#[test]
fn nothing_is_overwritten() {
    let test = shop();
    assert_eq!(test.run(&["new", "hello"]).code, 0);
    assert_eq!(test.run(&["run", "hello", "who=Ada"]).json(), json!({ "text": "Hello, Ada!" }));
    let path = test.home().join("flows/hello.yaml");
    fs::write(&path, "mine").expect("a file of our own");
    let done = test.run(&["new", "hello"]);
    assert!(done.code == 2 && done.stderr.contains("there already"), "{}", done.stderr);
    assert_eq!(fs::read_to_string(&path).expect("a file"), "mine");
}

#[test]
fn what_does_not_exist_is_not_drafted() {
    let test = shop().server("gone", fixture(["exits-at-start", "--stderr", "no licence"]));
    for (arguments, said) in [
        (["new", "a", "--from-tools", "north.ecko"].as_slice(), "did you mean `north.echo`?"),
        (&["new", "a", "--from-tools", "nroth.echo"], "did you mean `north`?"),
        (&["new", "a", "--from-tools", "echo"], "server.tool"),
        (&["new", "a b"], "cannot name a workflow"),
        (&["new", "a", "--from-tools", "gone.echo"], "no licence"),
    ] {
        let done = test.run(arguments);
        assert!(done.code != 0 && done.stderr.contains(said), "{arguments:?}: {}", done.stderr);
    }
    assert!(!test.home().join("flows").exists(), "nothing was written");
}

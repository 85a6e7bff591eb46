//! `check --fix` mends files in place, and `check -o sarif` tells editors.

use std::fs;

use serde_json::json;

use crate::support::{Test, fixture};

/// Three slips, one of which comes to light only when another is mended; a comment and a layout of its own.
const SLIPS: &str = "\
# Greets.
input:   { who: strng }     # a name
steps:
    - id: said
      tool: north.echo      # the fixture's
      args: { text: $input.hwo }
      retyr: 3
";

const MENDED: &str = "\
# Greets.
input:   { who: string }     # a name
steps:
    - id: said
      tool: north.echo      # the fixture's
      args: { text: $input.who }
      retry: 3
";

fn slips() -> Test {
    Test::new().server("north", fixture(["healthy"])).workflow("greet", SLIPS)
}

fn text(test: &Test) -> String {
    fs::read_to_string(test.home().join("workflows/greet.yaml")).expect("the workflow")
}

#[test]
fn fix_mends_a_file_and_keeps_its_comments_and_layout() {
    let test = slips();
    assert_eq!(test.run(&["check"]).code, 2);
    let done = test.run(&["check", "--fix"]);
    assert_eq!((done.code, done.stdout.trim()), (0, "ok: 1 servers, 1 workflows"), "{}", done.stderr);
    assert_eq!(text(&test), format!("name: greet\n{MENDED}"));
    for change in ["greet.yaml:3:17: `strng` -> `string` (MO2011", "`hwo` -> `who`", "`retyr` -> `retry`"] {
        assert!(done.stderr.contains(change), "{change} is missing in {}", done.stderr);
    }
    assert_eq!(fs::read_dir(test.home().join("workflows")).expect("a folder").count(), 1, "nothing is left beside it");
    let again = test.run(&["check", "--fix", "-o", "json"]);
    assert_eq!((again.code, &again.json()["fixed"]), (0, &json!([])));
}

#[test]
fn fix_can_show_what_it_would_do() {
    let test = slips();
    let before = text(&test);
    let done = test.run(&["check", "--fix", "--dry-run"]);
    assert_eq!(text(&test), before, "nothing is written");
    for line in ["-      retyr: 3", "+      retry: 3", "-input:   { who: strng }     # a name", "@@ -1,8 +1,8 @@"] {
        assert!(done.stdout.lines().any(|shown| shown == line), "{line} is missing in {}", done.stdout);
    }
    assert_eq!(done.code, 0, "as it would be afterwards: {}", done.stderr);
    assert_eq!(test.run(&["check", "--dry-run"]).code, 2, "there is nothing to be shown without --fix");
}

#[test]
fn fix_leaves_what_it_cannot_mend_and_says_so() {
    let test = Test::new()
        .registry("[defaults]\ntimeot = \"3s\"\n")
        .server("north", fixture(["healthy"]).env("KEY", "hunter2"))
        .workflow("greet", "steps:\n  - { id: a, tol: north.echo }\n  - { id: a, wholly_other: 1, set: 1 }\n");
    let shown = test.run(&["check", "--fix", "--dry-run"]);
    assert!(shown.stdout.contains("+timeout = \"3s\"") && !shown.stdout.contains("hunter2"), "{}", shown.stdout);
    let done = test.run(&["check", "--fix", "-o", "json"]);
    assert_eq!(done.code, 2);
    let told = done.json();
    let codes = |key: &str| -> Vec<String> {
        let list = told[key].as_array().expect("a list");
        list.iter().map(|one| one["code"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(codes("fixed"), ["MO1003", "MO1003"], "{told}");
    assert_eq!(codes("problems"), ["MO1006", "MO1003"], "{told}");
    assert!(text(&test).contains("{ id: a, tool: north.echo }"), "{}", text(&test));
    let registry = fs::read_to_string(test.home().join("registry.toml")).expect("the registry");
    assert!(registry.starts_with("[defaults]\ntimeout = \"3s\""), "{registry}");
}

#[test]
fn fix_mends_what_only_the_servers_know() {
    let test = Test::new()
        .server("north", fixture(["healthy"]))
        .workflow("greet", "steps:\n  - { id: a, tool: north.ehco, args: { text: hello } }\n");
    let done = test.run(&["check", "--fix", "--online"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(text(&test).contains("tool: north.echo, args: { text: hello }"), "{}", text(&test));
}

#[test]
fn problems_are_told_as_sarif() {
    let done = slips().run(&["check", "-o", "sarif"]);
    assert_eq!(done.code, 2);
    let log = done.json();
    assert!(log["version"] == "2.1.0" && log["$schema"].is_string(), "{log}");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    let results = run["results"].as_array().expect("results");
    assert!(run["tool"]["driver"]["name"].is_string() && results.len() >= 3, "{log}");
    for result in results {
        let rule = usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("a small one");
        assert_eq!(rules[rule]["id"], result["ruleId"]);
        assert!(result["message"]["text"].is_string() && result["level"] == "error", "{result}");
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].as_str().is_some_and(|uri| uri.ends_with("/workflows/greet.yaml")));
        assert!(place["region"]["startLine"].as_u64().is_some_and(|line| line >= 1), "{result}");
    }
    let fix = &results[0]["fixes"][0]["artifactChanges"][0]["replacements"][0];
    assert_eq!(fix["insertedContent"]["text"], "string");
    assert_eq!(slips().run(&["tools", "-o", "sarif"]).code, 2);
}

//! What `check` and `graph` know of servers that they do not ask: what these were last heard to offer.

use serde_json::json;

use crate::support::{Test, fixture};

/// A workflow that only reads, over a server whose tools say what they do.
fn reading(tool: &str) -> Test {
    let steps =
        format!("steps:\n  - {{ id: said, tool: shop.{tool}, args: {{}} }}\n  - {{ id: more, workflow: inner }}\n");
    Test::new()
        .server("shop", fixture(["healthy"]))
        .workflow("ask", &steps)
        .workflow("inner", "steps:\n  - { id: it, tool: shop.env, args: {} }\n")
}

#[test]
fn what_servers_were_heard_to_offer_is_known_to_an_offline_check() {
    let test = reading("ecko");
    let done = test.run(&["check"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "nothing is known yet");
    assert_eq!(test.run(&["tools"]).code, 0);
    let done = test.run(&["check"]);
    assert!(done.code == 2 && done.stderr.contains("did you mean `shop.echo`?"), "{}", done.stderr);
    let said = "note: not asked now, but remembered: what is offered by `shop` (as of 20";
    assert_eq!(done.stderr.matches(said).count(), 1, "{}", done.stderr);
    let done = test.run(&["check", "-o", "json"]).json();
    assert!(done["as_of"]["shop"].as_str().is_some_and(|at| at.starts_with("20")), "{done}");
}

#[test]
fn plans_and_graphs_know_the_effects_that_are_remembered_and_say_which_are_not() {
    let test = reading("echo");
    let unknown = "effects are not known of what nothing is remembered of: `shop`";
    for args in [&["check", "--dry-run"][..], &["graph", "ask"]] {
        let done = test.run(args);
        assert!(done.code == 0 && done.stderr.contains(unknown), "{args:?}: {}", done.stderr);
        assert!(done.stdout.contains("destructive"), "{args:?}: {}", done.stdout);
    }
    assert_eq!(test.run(&["tools"]).code, 0);
    for args in [&["check", "--dry-run"][..], &["graph", "ask"]] {
        let done = test.run(args);
        assert!(done.code == 0 && !done.stderr.contains(unknown), "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains("`shop` (as of 20"), "{args:?}: {}", done.stderr);
        assert!(!done.stdout.contains("destructive") && done.stdout.contains("read"), "{args:?}: {}", done.stdout);
    }
    let plans = test.run(&["check", "--dry-run", "-o", "json"]).json();
    assert_eq!(plans["plans"][0]["effect"], json!("read"), "{plans}");
}

#[test]
fn what_another_entry_was_heard_to_offer_is_not_remembered() {
    let test = reading("ecko");
    let checked = |registry: &str| test.run(&["check", "--data-dir", "data", "--registry", registry]).code;
    assert_eq!(test.run(&["tools", "--data-dir", "data"]).code, 0);
    assert_eq!(checked("registry.toml"), 2);
    let written = std::fs::read_to_string(test.home().join("registry.toml")).expect("a registry");
    let other = written.replace("[servers.shop]\n", "[servers.shop]\ncwd = \"/\"\n");
    std::fs::write(test.home().join("other.toml"), other).expect("a registry");
    assert_eq!(checked("other.toml"), 0, "it is another server now");
}

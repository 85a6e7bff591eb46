//! Workflows that are made to exhaust us, by mistake or on purpose: each ends in a clear error, and everything else goes on.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Host, Test, fixture};

/// How long a file may take that is refused; ample for a test build on a busy machine.
const PROMPT: Duration = Duration::from_secs(15);

fn alias_bomb() -> String {
    let mut text = "name: bomb\nsteps: [{ id: a, set: 1 }]\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let copies = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(text, "a{level}: &a{level} [{copies}]");
    }
    text
}

fn files() -> [(&'static str, String); 4] {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let steps: String = (0..10_000).fold(String::new(), |mut all, number| {
        let _ = writeln!(all, "  - {{ id: s{number}, set: 1 }}");
        all
    });
    let sum = "1 + ".repeat(250_000);
    [
        ("aliases", alias_bomb()),
        ("nested", format!("name: bomb\nsteps:\n  - {{ id: a, set: {deep} }}\n")),
        ("long", format!("name: bomb\nsteps:\n{steps}")),
        ("sum", format!("name: bomb\nsteps:\n  - {{ id: a, set: \"${{ {sum} 1 }}\" }}\n")),
    ]
}

#[test]
fn a_file_that_is_a_bomb_is_refused_and_the_others_work() {
    for (name, text) in files() {
        let test = Test::new().server("north", fixture(["healthy"])).workflow("good", "steps: [{ id: a, set: 7 }]");
        let test = test.workflow(name, &text);
        let began = Instant::now();
        let done = test.run(&["check"]);
        assert!(done.code == 2 && done.stderr.contains(&format!("{name}.yaml")), "{name}: {}", done.stderr);
        assert!(began.elapsed() < PROMPT, "{name} took {:?}", began.elapsed());
        assert!(done.stderr.len() < 20_000, "{name}: the message is {} bytes long", done.stderr.len());
        let mut host = test.start();
        assert_eq!(host.value("good", json!({})), json!({ "result": 7 }), "{name}");
    }
}

fn host() -> Host {
    let itself = "input: { n: integer }\nsteps: [{ id: a, workflow: itself, args: { n: '${ input.n + 1 }' } }]\n";
    let each = "input: { items: array }\nsteps: [{ id: a, for_each: $input.items, set: $item }]\n";
    let mut doubles = "steps:\n  - { id: s0, set: 0123456789abcdef }\n".to_owned();
    for step in 1..=40 {
        let _ =
            writeln!(doubles, "  - {{ id: s{step}, set: \"${{ steps.s{0}.output ~ steps.s{0}.output }}\" }}", step - 1);
    }
    let spins = "steps: [{ id: a, set: \"${ range(100000)|map('string')|join|length }{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}\" }]\n";
    let test = Test::new().server("north", fixture(["healthy"])).workflow("itself", itself).workflow("each", each);
    test.workflow("doubles", &doubles).workflow("spins", spins).workflow("good", "steps: [{ id: a, set: 7 }]").start()
}

#[test]
fn a_run_that_grows_without_end_is_ended_and_the_others_go_on() {
    let mut host = host();
    let million: Vec<Value> = vec![json!(1); 1_000_000];
    for (workflow, input, codes) in [
        ("itself", json!({ "n": 0 }), &["MO4007"][..]),
        ("each", json!({ "items": million }), &["MO4008", "MO4001"]),
        ("doubles", json!({}), &["MO4008", "MO4003"]),
        ("spins", json!({}), &["MO4003"]),
    ] {
        let began = Instant::now();
        let said = host.failure(workflow, input);
        assert!(codes.iter().any(|code| said.contains(code)), "{workflow}: {said}");
        assert!(said.len() < 20_000, "{workflow}: the message is {} bytes long", said.len());
        assert!(began.elapsed() < PROMPT, "{workflow} took {:?}", began.elapsed());
        assert_eq!(host.value("good", json!({})), json!({ "result": 7 }), "after {workflow}");
    }
}

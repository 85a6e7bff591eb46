//! Every folder of `examples/`, played as it is shipped: what is said of it in its README is what happens.

mod coach;
mod decision;
mod deployment;
mod development;
mod learning;
mod order;
mod sms;

use std::fs;
use std::path::Path;

use crate::support::example::{folders, workflows};
use crate::support::{Example, Test};

#[test]
fn every_example_passes_the_check_with_its_own_registry_and_says_how_to_run_it() {
    let root = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("a README");
    for folder in folders() {
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        // The demonstration is started without any file.
        if name == "demo" {
            continue;
        }
        let registry = folder.join("registry.toml");
        let done = Test::new().run(&["check", "--registry", &registry.to_string_lossy()]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{name}: {}", done.stdout);
        let count = workflows(&folder).len();
        assert!(done.stdout.contains(&format!(", {count} workflow")), "{name} has {count}: {}", done.stdout);
        let readme = fs::read_to_string(folder.join("README.md")).expect("a README");
        let command = format!("mcp-orchestrator --registry examples/{name}/registry.toml run {name}");
        assert!(readme.contains(&command) && readme.contains("| what fails |"), "{name}: {readme}");
        assert!(root.contains(&format!("(examples/{name}/README.md)")), "README.md does not name {name}");
    }
}

#[test]
fn the_commands_of_every_example_do_what_they_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).to_string_lossy().into_owned();
    for folder in folders() {
        let readme = fs::read_to_string(folder.join("README.md")).expect("a README").replace("\\\n", " ");
        for line in readme.lines().filter_map(|line| line.strip_prefix("$ mcp-orchestrator ")) {
            let mut words = words(&line.replace("examples/", &format!("{root}/examples/")));
            // Nobody has the servers: what would be done has to be enough.
            let is_run = words.iter().any(|word| word == "run");
            if is_run {
                words.push("--dry-run".to_owned());
            }
            let done = Test::new().run(&words.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(done.code, 0, "{line}: {}{}", done.stdout, done.stderr);
            assert!(!is_run || done.stdout.contains("bounds: "), "{line}: {}", done.stdout);
        }
    }
}

#[test]
fn a_plan_goes_by_what_the_registry_says_of_servers_that_are_down() {
    let input = ["phone=+15551234567", "coach_id=a", "message=b"];
    let done = Example::of("send_coached_sms").run(&[&["run", "send_coached_sms", "--dry-run"], &input[..]].concat());
    assert!(done.stdout.contains("0  contact  read\n  0  coach    read\n"), "{}{}", done.stdout, done.stderr);
}

/// The words of a command line, as a shell makes them out of spaces and quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quote, mut is_within) = (Vec::<String>::new(), None, false);
    for letter in line.chars() {
        match (letter, quote) {
            (letter, Some(end)) if letter == end => quote = None,
            ('"' | '\'', None) => quote = Some(letter),
            (' ', None) => is_within = false,
            (letter, _) => {
                if !std::mem::replace(&mut is_within, true) {
                    words.push(String::new());
                }
                words.last_mut().expect("one has begun").push(letter);
            }
        }
    }
    words
}

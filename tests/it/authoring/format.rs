//! `fmt`: the canonical form, which loses nothing.

use std::fs;
use std::path::Path;

use mcp_orchestrator::document::format::Format;
use mcp_orchestrator::document::parse::parse;
use mcp_orchestrator::model::problem::Source;
use mcp_orchestrator::workflow::canonical::canonical;

use crate::support::Test;
use crate::support::example::{folders, workflows};

const UNTIDY: &str = "\
# yaml-language-server: $schema=workflow.schema.json
# What it is for.
steps:
  # The first.
  - tool: north.echo      # the fixture's
    timeout: 90s
    id: said
    # Three times.
    retry: { on: [timeout], delay: 1000, attempts: 3 }
    args:
      text: |
        # no comment

        Hello

  - set: { b: 1, a: 2 }

    id: last
    # about the condition
    when: input.who
input: { who: string, again: string }

# A name.
name: greet
";

const TIDY: &str = "\
# yaml-language-server: $schema=workflow.schema.json
# A name.
name: greet
input: { who: string, again: string }

# What it is for.
steps:
  # The first.
  - id: said
    tool: north.echo      # the fixture's
    args:
      text: |
        # no comment

        Hello
    timeout: 1m30s
    # Three times.
    retry: { attempts: 3, delay: 1s, on: [timeout] }

  - id: last

    set: { b: 1, a: 2 }
    # about the condition
    when: input.who
";

fn text(test: &Test, name: &str) -> String {
    fs::read_to_string(test.home().join(name)).expect("the file")
}

#[test]
fn keys_come_into_order_and_comments_go_with_them() {
    let test = Test::new().file("workflows/greet.yaml", UNTIDY);
    let path = test.home().join("workflows").to_string_lossy().into_owned();
    let shown = test.run(&["fmt", &path, "--check"]);
    assert_eq!((shown.code, text(&test, "workflows/greet.yaml").as_str()), (2, UNTIDY), "{}", shown.stderr);
    assert!(shown.stdout.contains("\n+name: greet\n"), "{}", shown.stdout);
    let done = test.run(&["fmt", &path]);
    assert_eq!((done.code, text(&test, "workflows/greet.yaml").as_str()), (0, TIDY), "{}", done.stderr);
    assert!(done.stderr.contains("1 of 1 files changed"), "{}", done.stderr);
    let again = test.run(&["fmt", &path, "--check"]);
    assert_eq!(again.code, 0, "{}{}", again.stdout, again.stderr);
}

#[test]
fn json_and_toml_keep_their_comments_and_their_form() {
    let json =
        "{\n  // kept\n  \"name\": \"a\",\n  \"steps\": [{ \"set\": 1, \"timeout\": 60000, \"id\": \"x\" }]\n}\n";
    let toml = "# top\nversion = \"1\"\n# the name\nname = \"b\"\n\n[[steps]]\ntimeout = 5000\nset = { b = 1, a = 2 }\nid = \"x\"   # its id\n";
    let test = Test::new()
        .registry("")
        .file("registry.toml", "[orchestrator]\nworkflows = [\"workflows\"]\n")
        .file("workflows/a.json", json)
        .file("workflows/b.toml", toml);
    let done = test.run(&["fmt", "-o", "json"]);
    assert_eq!((done.code, &done.json()["files"]), (0, &2.into()), "{}", done.stderr);
    let tidy =
        "{\n  // kept\n  \"name\": \"a\",\n  \"steps\": [{ \"id\": \"x\", \"set\": 1, \"timeout\": \"1m\" }]\n}\n";
    assert_eq!(text(&test, "workflows/a.json"), tidy);
    let tidy = "# the name\nname = \"b\"\n# top\nversion = \"1\"\n\n[[steps]]\nid = \"x\"   # its id\nset = { b = 1, a = 2 }\ntimeout = \"5s\"\n";
    assert_eq!(text(&test, "workflows/b.toml"), tidy);
}

#[test]
fn what_cannot_be_moved_without_loss_is_left_alone_and_said() {
    let aliases = "steps:\n  - &one { set: 1, id: a }\n  - { <<: *one, id: b }\nname: x\n";
    let between = "name: y\nsteps:\n  - {\n      set: 1,   # one\n      id: a\n    }\n";
    let dash = "name: z\nsteps:\n  - set: 1\n    # the id\n    id: a\n";
    let test = Test::new()
        .file("workflows/x.yaml", aliases)
        .file("workflows/y.yaml", between)
        .file("workflows/z.yaml", dash)
        .file("workflows/broken.yaml", "steps: [\n");
    let path = |name: &str| test.home().join(name).to_string_lossy().into_owned();
    let done = test.run(&["fmt", &path("workflows/x.yaml"), &path("workflows/y.yaml"), &path("workflows/z.yaml")]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    for (name, old) in [("x", aliases), ("y", between), ("z", dash)] {
        assert_eq!(text(&test, &format!("workflows/{name}.yaml")), old);
    }
    for why in ["x.yaml:1: left as it is: it uses aliases", "y.yaml:3: left", "z.yaml:3: left"] {
        assert!(done.stderr.contains(why), "{why} is missing in {}", done.stderr);
    }
    let done = test.run(&["fmt", &path("workflows/broken.yaml")]);
    assert!(done.code == 2 && done.stderr.contains("MO1002"), "{}", done.stderr);
    let done = test.run(&["fmt", &path("workflows/none.yaml")]);
    assert!(done.code == 2 && done.stderr.contains("MO1001"), "{}", done.stderr);
}

#[test]
fn only_workflows_of_a_folder_are_touched() {
    let other = "{ \"version\": \"1\", \"name\": \"package\" }\n";
    let test = Test::new().file("workflows/package.json", other).file("workflows/a.yaml", "steps: []\nname: a\n");
    let done = test.run(&["fmt", &test.home().join("workflows").to_string_lossy()]);
    assert_eq!((done.code, text(&test, "workflows/package.json").as_str()), (0, other));
    assert_eq!(text(&test, "workflows/a.yaml"), "name: a\nsteps: []\n");
}

#[test]
fn shipped_workflows_are_in_canonical_form() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = folders().into_iter().chain([root.join("workflows")]);
    let mut seen = 0;
    for path in shipped.flat_map(|folder| workflows(&folder)) {
        let source = Source::new(path.to_string_lossy(), fs::read_to_string(&path).expect("a file"));
        let canonical = canonical(&source, Format::Yaml).expect("it can be read");
        assert!(canonical.text == source.text, "`mcp-orchestrator fmt {}` would change it", path.display());
        seen += 1;
    }
    assert!(seen >= 10);
}

#[test]
fn no_file_of_the_corpus_loses_anything_and_twice_is_once() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workflows");
    for path in ["good", "bad"].iter().flat_map(|name| fs::read_dir(folder.join(name)).expect("a folder").flatten()) {
        let path = path.path();
        let Some(format) = Format::of(&path.to_string_lossy()) else { continue };
        let source = Source::new(path.to_string_lossy(), fs::read_to_string(&path).expect("a file"));
        let (Ok(before), Ok(first)) = (parse(&source, format), canonical(&source, format)) else { continue };
        let again = Source::new(path.to_string_lossy(), first.text.clone());
        let after = parse(&again, format).expect("it can still be read");
        let second = canonical(&again, format).expect("it can still be read");
        assert_eq!(first.text, second.text, "{}", path.display());
        let bytes = |text: &str| {
            let mut bytes: Vec<_> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
            bytes.sort_unstable();
            bytes
        };
        // Only durations are written anew.
        if before.to_json() == after.to_json() {
            assert_eq!(bytes(&source.text), bytes(&first.text), "{}", path.display());
        }
    }
}

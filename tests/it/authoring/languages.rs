//! `convert` and `schema`: the same workflow in three languages, and what editors know of it.

use std::fs;
use std::path::{Path, PathBuf};

use mcp_orchestrator::document::format::Format;
use mcp_orchestrator::document::parse::parse;
use mcp_orchestrator::model::problem::Source;
use serde_json::{Value, json};

use crate::support::Test;
use crate::support::example::{folders, workflows};

/// Every workflow that is shipped or stands in the corpus of good ones.
fn good() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = folders();
    folders.extend(["workflows", "tests/workflows/good"].map(|folder| root.join(folder)));
    let files: Vec<_> = folders.iter().flat_map(|folder| workflows(folder)).collect();
    assert!(files.len() >= 20);
    files
}

fn tree(name: &str, text: &str) -> Value {
    let format = Format::of(name).expect("a language");
    parse(&Source::new(name, text), format).unwrap_or_else(|problem| panic!("{problem}")).to_json()
}

#[test]
fn a_workflow_says_the_same_in_every_language() {
    for path in good() {
        let text = fs::read_to_string(&path).expect("a file");
        let name = path.to_string_lossy().into_owned();
        for (language, file) in [("json", "x.json"), ("toml", "x.toml"), ("yaml", "x.yaml")] {
            let done = Test::new().run(&["convert", &name, "--to", language]);
            if done.code == 2 {
                assert!(language == "toml" && done.stderr.contains("TOML has no null"), "{name}: {}", done.stderr);
                continue;
            }
            assert_eq!(tree(file, &done.stdout), tree(&name, &text), "{name} as {language}:\n{}", done.stdout);
            let has_comment = text.lines().any(|line| line.trim_start().starts_with('#'));
            assert!(!has_comment || done.stderr.contains("comments"), "{name}: the loss is said: {}", done.stderr);
        }
    }
}

#[test]
fn what_is_converted_still_runs() {
    let test = Test::new().workflow("sum", "input: { n: integer }\nsteps:\n  - { id: a, set: '${input.n + 1}' }\n");
    let yaml = test.home().join("workflows/sum.yaml");
    let done = test.run(&["convert", &yaml.to_string_lossy(), "--to", "toml"]);
    assert_eq!(
        done.stdout,
        "name = \"sum\"\n\n[input]\nn = \"integer\"\n\n[[steps]]\nid = \"a\"\nset = \"${input.n + 1}\"\n"
    );
    fs::remove_file(&yaml).expect("a file");
    let test = test.file("workflows/sum.toml", &done.stdout).registry("# nothing");
    let done = test.run(&["run", "sum", "n=41"]);
    assert_eq!((done.code, done.stdout.trim()), (0, "42"), "{}", done.stderr);
}

#[test]
fn the_schema_of_the_registry_accepts_what_is_shipped_and_refuses_slips() {
    let schema = Test::new().run(&["schema", "registry"]).json();
    assert!(jsonschema::draft202012::meta::is_valid(&schema), "it is a schema");
    let validator = jsonschema::validator_for(&schema).expect("it can be used");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![fs::read_to_string(root.join("registry.toml")).expect("a file")];
    for page in ["README.md", "docs/registry.md"] {
        let page = fs::read_to_string(root.join(page)).expect("a page");
        let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```"));
        files.extend(blocks.map(|(block, _)| block.to_owned()));
    }
    assert!(files.len() >= 4);
    for text in files {
        let errors: Vec<_> = validator.iter_errors(&tree("x.toml", &text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{text}");
    }
    for wrong in ["[servers.a]\ncomand = 'x'", "[defaults]\ntimeout = 'soon'", "[servers.a]\nstart = 'later'"] {
        assert!(!validator.is_valid(&tree("x.toml", wrong)), "{wrong}");
    }
}

#[test]
fn the_schema_accepts_good_files_and_refuses_slips() {
    let done = Test::new().run(&["schema", "workflow"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let schema = done.json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(jsonschema::draft202012::meta::is_valid(&schema), "it is a schema");
    let validator = jsonschema::validator_for(&schema).expect("it can be used");
    for path in good() {
        let file = tree(&path.to_string_lossy(), &fs::read_to_string(&path).expect("a file"));
        let errors: Vec<_> = validator.iter_errors(&file).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
    for wrong in [
        json!({ "name": "a" }),
        json!({ "name": "a", "steps": [{ "id": "a", "tol": "a.b" }] }),
        json!({ "name": "a", "steps": [{ "id": "A", "set": 1 }] }),
        json!({ "name": "a", "steps": [{ "id": "a", "set": 1, "timeout": "soon" }] }),
        json!({ "name": "a", "steps": [{ "id": "a", "set": 1, "retry": { "on": "timeot" } }] }),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}

//! Workflow files and what is said about them: wrong ones with their problems, good ones with their plan.
//!
//! `UPDATE_EXPECT=1 cargo test` rewrites the expectations beside the files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcp_orchestrator::document::format::Format;
use mcp_orchestrator::model::effect::Effect;
use mcp_orchestrator::model::name::ToolRef;
use mcp_orchestrator::model::problem::{Problem, Source};
use mcp_orchestrator::workflow::authored::read;
use mcp_orchestrator::workflow::check::check;
use mcp_orchestrator::workflow::definition::Workflow;
use mcp_orchestrator::workflow::graph;
use mcp_orchestrator::workflow::plan::plan;
use mcp_orchestrator::workflow::surroundings::{Facts, Surroundings};
use serde_json::{Value, json};

#[test]
fn every_wrong_file_is_told_what_is_wrong() {
    let files = files("bad");
    assert!(files.len() >= 140, "only {} files were found", files.len());
    let differences: Vec<_> = files
        .iter()
        .filter_map(|file| {
            let (_, problems) = examine(file);
            assert!(!problems.is_empty(), "{} has no problem", file.display());
            let lines: Vec<_> = problems.iter().map(|problem| format!("{problem}\n")).collect();
            difference(file, &lines.concat())
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_suggested_fix_leaves_fewer_or_other_problems() {
    for file in files("bad") {
        let text = fs::read_to_string(&file).expect("the file can be read");
        let (_, problems) = examine(&file);
        for problem in problems.iter().filter(|problem| problem.patch.is_some()) {
            let patch = problem.patch.as_ref().expect("just looked");
            let mut mended = text.clone();
            mended.replace_range(patch.span.clone(), &patch.replacement);
            let (_, left) = examine_text(&file, &mended);
            let is_left = left.iter().any(|other| {
                other.message == problem.message && other.span.start == problem.span.start && other.code == problem.code
            });
            assert!(!is_left, "the fix does not help: {problem}\n{mended}");
        }
    }
}

#[test]
fn every_good_file_has_its_plan() {
    let differences: Vec<_> = files("good")
        .iter()
        .filter_map(|file| {
            let (workflow, problems) = examine(file);
            assert!(problems.is_empty(), "{}", problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"));
            let plan = plan(&workflow.expect("a workflow without problems"), &Shop);
            difference(file, &format!("{}\n{}", graph::text(&plan), graph::mermaid(&plan)))
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workflows").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the folder is part of the repository")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| Format::of(&path.to_string_lossy()).is_some())
        .collect();
    files.sort();
    files
}

fn examine(file: &Path) -> (Option<Workflow>, Vec<Problem>) {
    examine_text(file, &fs::read_to_string(file).expect("the file can be read"))
}

fn examine_text(file: &Path, text: &str) -> (Option<Workflow>, Vec<Problem>) {
    let name = file.file_name().expect("a file has a name").to_string_lossy();
    let format = Format::of(&name).expect("a file in one of the languages");
    let (workflow, mut problems) = read(&Source::new(name, text), format);
    problems.extend(workflow.iter().flat_map(|workflow| check(workflow, &Shop)));
    (workflow, problems)
}

/// How `found` differs from what is expected of `file`, if it does.
fn difference(file: &Path, found: &str) -> Option<String> {
    let expectation = file.with_extension("txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&expectation, found).expect("the expectation can be written");
    }
    let expected = fs::read_to_string(&expectation).unwrap_or_default();
    (expected != found).then(|| format!("{}\nexpected:\n{expected}\nfound:\n{found}", file.display()))
}

/// A small world of servers. `sleeping` has never answered.
struct Shop;

impl Shop {
    const TOOLS: [(&str, &str, Effect); 9] = [
        ("google-workspace", "get_contact", Effect::Read),
        ("main-platform", "get_coach", Effect::Read),
        ("textbee", "send", Effect::Destructive),
        ("shop", "find", Effect::Read),
        ("shop", "quote", Effect::Read),
        ("shop", "reserve", Effect::Write),
        ("shop", "charge", Effect::Destructive),
        ("shop", "charge_later", Effect::Write),
        ("shop", "label", Effect::Write),
    ];

    fn schemas(tool: &str) -> (Option<Value>, Option<Value>) {
        match tool {
            "find" => (
                Some(json!({"type": "object", "required": ["sku"], "additionalProperties": false,
                    "properties": {"sku": {"type": "string"}, "limit": {"$ref": "#/$defs/count"}},
                    "$defs": {"count": {"type": "integer", "minimum": 1}}})),
                Some(
                    json!({"type": "object", "additionalProperties": false, "properties": {"name": {"type": "string"},
                    "price": {"type": "number"}, "maker": {"type": "object", "properties": {"address": {}}}}}),
                ),
            ),
            "send" => (
                Some(json!({"type": "object", "required": ["to", "from", "message"],
                    "properties": {"to": {"type": "string"}, "from": {"type": "string"}, "message": {"type": "string"}}})),
                None,
            ),
            _ => (None, None),
        }
    }
}

impl Surroundings for Shop {
    fn servers(&self) -> Vec<String> {
        ["google-workspace", "main-platform", "textbee", "shop", "sleeping"].map(str::to_owned).to_vec()
    }

    fn tools_of(&self, server: &str) -> Option<Vec<String>> {
        let tools = Self::TOOLS.iter().filter(|(of, _, _)| *of == server).map(|(_, tool, _)| (*tool).to_owned());
        Some(tools.collect()).filter(|_| server != "sleeping")
    }

    fn tool(&self, tool: &ToolRef) -> Option<Facts> {
        let (_, name, effect) =
            Self::TOOLS.iter().find(|(server, name, _)| *server == tool.server && *name == tool.tool)?;
        let (input_schema, output_schema) = Self::schemas(name);
        Some(Facts {
            effect: *effect,
            input_schema: input_schema.map(Arc::new),
            output_schema: output_schema.map(Arc::new),
        })
    }

    fn workflows(&self) -> Vec<String> {
        vec!["book_freight".to_owned()]
    }

    fn workflow(&self, name: &str) -> Option<Facts> {
        let schema = json!({"type": "object", "required": ["order"], "properties": {"order": {"type": "string"}},
            "additionalProperties": false});
        (name == "book_freight").then(|| Facts {
            effect: Effect::Write,
            input_schema: Some(Arc::new(schema)),
            output_schema: None,
        })
    }

    fn models(&self) -> Option<Vec<String>> {
        Some(vec!["fast".to_owned(), "slow".to_owned()])
    }

    fn agents(&self) -> Option<Vec<String>> {
        Some(vec!["critic".to_owned(), "architect".to_owned()])
    }

    fn agent(&self, name: &str) -> Option<Effect> {
        (name == "critic").then_some(Effect::Read)
    }
}

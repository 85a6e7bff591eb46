//! The documentation is true: references are fresh, examples pass the checks, and commands exist.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mcp_orchestrator::document::format::Format;
use mcp_orchestrator::model::explain;
use mcp_orchestrator::model::problem::Source;
use mcp_orchestrator::registry::load::load;
use mcp_orchestrator::workflow::authored::read;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The fenced blocks of `language` in a Markdown file.
fn blocks(markdown: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    markdown.split(&open).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
}

#[test]
fn the_reference_of_codes_is_fresh() {
    let fresh = explain::page();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(root().join("docs/errors.md"), &fresh).expect("docs/errors.md is writable");
    }
    assert_eq!(text("docs/errors.md"), fresh, "run the tests with UPDATE_EXPECT=1 to refresh it");
}

#[test]
fn every_registry_in_the_documentation_is_valid() {
    for name in ["README.md", "docs/registry.md", "docs/discovery.md"] {
        for block in blocks(&text(name), "toml") {
            // The reference shows `fallback` to a server that it does not show.
            let block = block.replace("fallback = [\"gitlab\"]", "fallback = [\"docs\"]");
            let (_, problems) = load(&[Source::new(format!("{name}.toml"), block)]);
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert!(problems.is_empty(), "{name}: {problems:#?}");
        }
    }
}

#[test]
fn every_workflow_in_the_readme_passes_the_check() {
    let examples = blocks(&text("README.md"), "yaml");
    assert!(!examples.is_empty());
    for example in examples {
        let (workflow, problems) = read(&Source::new("README.yaml", example), Format::Yaml);
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(workflow.is_some() && problems.is_empty(), "{problems:#?}");
    }
}

#[test]
fn every_workflow_in_the_reference_passes_the_check() {
    for example in ["docs/workflows.md", "docs/context.md"].iter().flat_map(|page| blocks(&text(page), "yaml")) {
        let (workflow, problems) = read(&Source::new("workflows.yaml", example), Format::Yaml);
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert!(workflow.is_some() && problems.is_empty(), "{problems:#?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the rule is for servers")]
#[test]
fn every_command_in_the_readme_exists() {
    let help = Command::new(env!("CARGO_BIN_EXE_mcp-orchestrator")).arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let readme = text("README.md");
    let commands = readme.split("mcp-orchestrator ").skip(1).filter_map(|rest| rest.split_whitespace().next());
    let mut seen = 0;
    for command in commands.filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()) && word.len() > 2) {
        seen += 1;
        assert!(help.contains(&format!("  {command} ")), "README names `{command}`, which is not a command");
    }
    assert!(seen >= 2, "the README names commands");
    let list =
        readme.split("## Commands").nth(1).and_then(|rest| rest.split("```").nth(1)).expect("a list of commands");
    let entries: Vec<_> =
        list.lines().flat_map(|line| line.split("   ")).filter_map(|entry| entry.split_whitespace().next()).collect();
    let commands = help.split("Commands:").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("commands");
    for command in commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()) {
        assert!(
            ["", "help"].contains(&command) || entries.contains(&command),
            "the README does not name the command `{command}`"
        );
    }
}

/// The pages on which the keys of a language are told.
#[test]
fn every_key_of_the_files_is_told_in_the_reference() {
    let workflow = mcp_orchestrator::workflow::vocabulary::schema();
    let registry = mcp_orchestrator::registry::schema::schema();
    for (schema, pages) in [
        (workflow, &["docs/workflows.md", "docs/durability.md"][..]),
        (registry, &["docs/registry.md", "docs/discovery.md"][..]),
    ] {
        let told: String = pages.iter().map(|page| text(page)).collect();
        let parts = schema["$defs"].as_object().expect("parts").values().chain([&schema]);
        for key in parts.filter_map(|part| part["properties"].as_object()).flat_map(|keys| keys.keys()) {
            let is_word = |at: usize| {
                let around =
                    |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
                !around(told[..at].chars().next_back()) && !around(told[at + key.len()..].chars().next())
            };
            let is_told = told.match_indices(key.as_str()).any(|(at, _)| is_word(at));
            assert!(is_told, "{pages:?} say nothing of `{key}`");
        }
    }
}

/// What a heading is linked to by.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}

#[test]
fn every_file_that_the_documentation_links_to_exists() {
    for name in ["README.md", "ARCHITECTURE.md", "docs/registry.md", "docs/workflows.md", "docs/durability.md"] {
        let folder = root().join(name).parent().expect("a folder").to_path_buf();
        for link in text(name).split("](").skip(1).filter_map(|rest| rest.split(')').next().map(ToOwned::to_owned)) {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').map_or((link.as_str(), None), |(file, of)| (file, Some(of)));
            assert!(folder.join(file).exists(), "{name} links to {link}, which is not there");
            let Some(heading) = heading else { continue };
            let page = fs::read_to_string(folder.join(file)).expect("a page");
            let is_it = |line: &str| line.starts_with('#') && anchor(line.trim_start_matches(['#', ' '])) == heading;
            assert!(page.lines().any(is_it), "{name} links to {link}, which has no such heading");
        }
    }
}

#[test]
fn every_dependency_is_justified() {
    let manifest: toml::Table = text("Cargo.toml").parse().expect("a manifest");
    let documented = text("docs/dependencies.md");
    for section in ["dependencies", "dev-dependencies"] {
        for name in manifest[section].as_table().expect("a table").keys() {
            assert!(
                documented.contains(&format!("`{name}`")),
                "docs/dependencies.md does not say what `{name}` is for"
            );
        }
    }
}

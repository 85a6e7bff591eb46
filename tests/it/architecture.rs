//! The shape of `src/`: layers point down, pure modules do nothing, files stay short.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules by layer, from the ground up. A module may import lower layers only.
const LAYERS: [&[&str]; 13] = [
    &["model"],
    &["document", "expr"],
    &["policy", "wire"],
    &["registry", "workflow"],
    &["catalog", "downstream", "engine"],
    &["discovery", "journal", "llm"],
    &["runner"],
    &["gateway", "restate"],
    &["server"],
    &["app"],
    &["demo"],
    &["cli"],
    &["main"],
];

/// Modules that may not touch a clock, a file, a socket, the environment or a task.
const PURE: [&str; 7] = ["model", "document", "expr", "policy", "registry", "workflow", "catalog"];

/// Words that a pure module does not use.
const IMPURE: [&str; 12] = [
    "tokio",
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "Instant::now",
    "SystemTime::now",
    "reqwest",
    "rmcp",
    "tracing::instrument",
    "std::thread",
    "std::io::std",
];

/// The only modules that may name the behaviour of the protocol library.
const PROTOCOL: [&str; 2] = ["server", "downstream"];

const MAX_LINES: usize = 500;

struct File {
    path: PathBuf,
    module: String,
    text: String,
}

fn sources() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut pending = vec![root.clone()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).expect("src is readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&root).expect("below src");
                let first = inside.components().next().expect("a file").as_os_str().to_string_lossy();
                let module = first.trim_end_matches(".rs").to_owned();
                files.push(File { text: fs::read_to_string(&path).expect("a source file"), module, path });
            }
        }
    }
    assert!(files.len() > 50, "the sources were found");
    files
}

fn layers() -> BTreeMap<&'static str, usize> {
    LAYERS.iter().enumerate().flat_map(|(layer, modules)| modules.iter().map(move |module| (*module, layer))).collect()
}

/// The code of a file without its unit tests and comments.
fn code(file: &File) -> String {
    let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(file: &File) -> bool {
    let path = file.path.to_string_lossy();
    path.ends_with("tests.rs") || path.contains("/tests/") || path.ends_with("laws.rs")
}

#[test]
fn imports_point_down() {
    let layers = layers();
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| file.module != "lib") {
        let own = *layers.get(file.module.as_str()).unwrap_or_else(|| panic!("`{}` has no layer", file.module));
        for part in code(file).split("crate::").skip(1) {
            let target: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if target != file.module && layers.get(target.as_str()).is_none_or(|layer| *layer >= own) {
                wrong.push(format!("{}: imports `{target}`", file.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not point down:\n{}", wrong.join("\n"));
}

#[test]
fn pure_modules_do_nothing() {
    let is_pure = |module: &str| PURE.contains(&module) || module == "engine";
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| is_pure(&file.module) && !is_test(file)) {
        for word in IMPURE.iter().filter(|word| code(file).contains(*word)) {
            wrong.push(format!("{}: uses `{word}`", file.path.display()));
        }
    }
    assert!(wrong.is_empty(), "pure modules that do something:\n{}", wrong.join("\n"));
}

#[test]
fn protocol_behaviour_lives_in_two_modules() {
    for file in sources().iter().filter(|file| !PROTOCOL.contains(&file.module.as_str())) {
        for part in ["rmcp::service", "rmcp::transport", "rmcp::handler", "rmcp::Server", "rmcp::Client"] {
            assert!(!code(file).contains(part), "{} names `{part}`", file.path.display());
        }
    }
}

#[test]
fn only_one_module_names_the_expression_crate() {
    for file in sources().iter().filter(|file| file.module != "expr") {
        assert!(!code(file).contains("minijinja::"), "{} names minijinja", file.path.display());
    }
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for file in sources() {
        let lines = file.text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", file.path.display());
        assert!(file.text.starts_with("//!"), "{} does not begin by saying what it is", file.path.display());
    }
}

#[test]
fn imports_name_one_thing_of_ours_at_its_place() {
    for file in sources().into_iter().filter(|file| !is_test(file)) {
        for line in
            code(&file).lines().map(str::trim).filter(|line| line.starts_with("use ") || line.starts_with("pub use "))
        {
            let is_ours = line.contains("crate::") || line.contains("super::");
            assert!(!(is_ours && line.contains('*')), "{}: a glob: {line}", file.path.display());
            assert!(!line.contains("crate::{"), "{}: a group at the root: {line}", file.path.display());
        }
    }
}

#[test]
fn the_library_lists_its_modules_in_layer_order() {
    let layers = layers();
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("src/lib.rs");
    let listed: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(|module| layers[module])
        .collect();
    assert_eq!(listed.len(), layers.len() - 1, "every module but `main` is listed");
    assert!(listed.is_sorted(), "in layer order");
}

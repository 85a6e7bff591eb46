//! Every folder of `examples/`, played as it is shipped: what is said of it in its README is what happens.

mod coach;
mod decision;
mod deployment;
mod development;
mod learning;
mod order;
mod sms;

use std::fs;

use crate::support::Test;
use crate::support::example::examples;

#[test]
fn every_example_passes_the_check_with_its_own_registry_and_says_how_to_run_it() {
    let mut seen = 0;
    for entry in fs::read_dir(examples()).expect("there are examples") {
        let folder = entry.expect("a folder").path();
        let registry = folder.join("registry.toml");
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        // The demonstration is started without any file.
        if name == "demo" {
            continue;
        }
        seen += 1;
        let done = Test::new().run(&["check", "--registry", &registry.to_string_lossy()]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{name}: {}", done.stdout);
        let files = fs::read_dir(&folder)
            .expect("a folder")
            .flatten()
            .filter(|file| file.path().extension().is_some_and(|end| end == "yaml"));
        let count = files.count();
        assert!(done.stdout.contains(&format!(", {count} workflow")), "{name} has {count}: {}", done.stdout);
        let readme = fs::read_to_string(folder.join("README.md")).expect("a README");
        let command = format!("mcp-orchestrator --registry examples/{name}/registry.toml run {name}");
        assert!(readme.contains(&command) && readme.contains("| what fails |"), "{name}: {readme}");
    }
    assert!(seen > 0, "there are examples");
}

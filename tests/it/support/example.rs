//! A folder of `examples/` as it is shipped: its own workflows and registry, with stand-ins for the servers and models.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toml::Table;

use super::brain::Brain;
use super::launch::fixture_path;
use super::scene::Test;
use super::{Done, Host};

/// An example. A server without a stand-in is down, and so is a model.
pub(crate) struct Example {
    test: Test,
    registry: Table,
    servers: Vec<String>,
}

/// The folder of all examples.
fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The folders of single examples.
pub(crate) fn folders() -> Vec<PathBuf> {
    let entries = fs::read_dir(examples()).expect("there are examples");
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// The workflows in a folder.
pub(crate) fn workflows(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).expect("a folder").flatten().map(|file| file.path());
    files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect()
}

impl Example {
    pub(crate) fn of(name: &str) -> Self {
        let folder = examples().join(name);
        let text = fs::read_to_string(folder.join("registry.toml")).expect("an example has a registry");
        let mut registry: Table = text.parse().expect("it is TOML");
        let patterns = registry["orchestrator"]["workflows"].as_array_mut().expect("it names its workflows");
        for pattern in patterns {
            *pattern = folder.join(pattern.as_str().expect("a pattern")).to_string_lossy().into_owned().into();
        }
        for server in tables(&mut registry, "servers") {
            for key in ["url", "headers", "env", "cwd", "type", "args"] {
                server.remove(key);
            }
            server.insert("command".to_owned(), "false".into());
        }
        for model in tables(&mut registry, "models") {
            model.remove("key");
            model.insert("url".to_owned(), "http://127.0.0.1:1".into());
            model.insert("retry".to_owned(), 1.into());
        }
        Self { test: Test::new(), registry, servers: Vec::new() }
    }

    /// A stand-in for a server, which answers as `script` says.
    pub(crate) fn server(mut self, name: &str, script: Value) -> Self {
        let file = format!("{name}.json");
        let (home, server) = (self.test.home().to_path_buf(), &mut self.registry["servers"][name]);
        let server = server.as_table_mut().expect("the example has this server");
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        server.insert("command".to_owned(), path(fixture_path()).into());
        let args = ["script", "--script", &path(home.join(&file)), "--record", &path(home.join(name))];
        server.insert("args".to_owned(), args.map(toml::Value::from).to_vec().into());
        // What is left of a server is found by this.
        let env = Table::from_iter([("FIXTURE_HOME".to_owned(), path(home).into())]);
        server.insert("env".to_owned(), env.into());
        self.test = self.test.file(&file, &script.to_string());
        self.servers.push(name.to_owned());
        self
    }

    /// A stand-in for a model.
    pub(crate) fn model(mut self, name: &str, brain: &Brain) -> Self {
        let model = self.registry["models"][name].as_table_mut().expect("the example has this model");
        let url = brain.url(model["api"].as_str().expect("an API"));
        model.insert("url".to_owned(), url.into());
        self
    }

    /// Serves a host that cannot show forms, when all stand-ins are listed.
    pub(crate) fn start(self) -> Host {
        let names: Vec<_> = self.servers.iter().map(String::as_str).collect();
        let mut host = self.test.registry(&self.registry.to_string()).start();
        host.ready(&names);
        host
    }

    /// Runs a command to its end.
    pub(crate) fn run(self, args: &[&str]) -> Done {
        self.test.registry(&self.registry.to_string()).run(args)
    }
}

fn tables<'a>(registry: &'a mut Table, kind: &str) -> impl Iterator<Item = &'a mut Table> {
    let all = registry.get_mut(kind).and_then(toml::Value::as_table_mut);
    all.into_iter().flat_map(|all| all.iter_mut()).filter_map(|(_, one)| one.as_table_mut())
}

//! Every feature between hosts and servers of every era, over both transports: the table of docs/matrix.md.
//!
//! Over HTTP there is an orchestrator on either side of the one that is looked at: before it one that speaks HTTP for the
//! host, in the host's era; behind it one that serves the server over HTTP, in the server's era.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::{Value, json};

use crate::support::face::Face;
use crate::support::{DEADLINE, Host, Test, eventually, fixture};

const ERAS: [&str; 2] = ["legacy", "modern"];

/// A feature, and how it is tried; the word is what the table says if it works in a way of its own.
type Feature = (&'static str, fn(&mut Scene) -> &'static str);

const FEATURES: [Feature; 11] = [
    ("a call", call),
    ("progress", progress),
    ("log messages", log),
    ("cancellation", cancel),
    ("elicitation", |scene| {
        ask(scene, "elicitation/create", &json!({ "action": "accept", "content": { "name": "Ada" } }))
    }),
    ("sampling", |scene| {
        let content = json!({ "type": "text", "text": "Ada" });
        ask(scene, "sampling/createMessage", &json!({ "role": "assistant", "content": content, "model": "none" }))
    }),
    ("roots", |scene| ask(scene, "roots/list", &json!({ "roots": [{ "uri": "file:///home" }] }))),
    ("list changes", list_changed),
    ("resource updates", subscribe),
    ("tasks", task),
    ("a result of 5 MB", big),
];

const PLAIN: &str = "[orchestrator]\nprefix = false\n";

/// A host, a server, and what lies between.
struct Scene {
    host: Host,
    /// Where the server keeps its records.
    records: PathBuf,
    _between: Vec<Face>,
}

impl Scene {
    fn new(host: &str, server: &str, transport: &str) -> Self {
        let shop = || Test::new().registry(PLAIN).server("shop", fixture(["healthy", "--era", server]));
        let (test, records, between) = if transport == "stdio" {
            let test = shop();
            let home = test.home().to_owned();
            (test, home, Vec::new())
        } else {
            let far = Face::of(shop(), &["--no-auth"]);
            let middle = Face::of(before(&far, server), &["--no-auth"]);
            (before(&middle, host), far.test.home().to_owned(), vec![far, middle])
        };
        let mut host = Self::open(test, host == "modern");
        host.ready(&["echo"]);
        Self { host, records, _between: between }
    }

    fn open(test: Test, is_modern: bool) -> Host {
        let mut host = test.serve();
        let mut capabilities = json!({ "elicitation": { "form": {} }, "sampling": {}, "roots": {} });
        if is_modern {
            capabilities["extensions"] = json!({ "io.modelcontextprotocol/tasks": {} });
            host.is_modern = true;
            host.capabilities = capabilities;
        } else {
            let client = json!({ "name": "test", "version": "1" });
            let params = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client });
            host.request("initialize", params);
            host.notify("notifications/initialized", json!({}));
        }
        host
    }

    /// Listens to everything, as a modern host does.
    fn listen(&mut self, filter: &Value) {
        self.host.send("subscriptions/listen", json!({ "notifications": filter }));
        self.host
            .wait_for("the subscription", |message| message["method"] == "notifications/subscriptions/acknowledged");
    }

    fn await_record(&self, kind: &str, line: &str) {
        let path = self.records.join(format!("shop.{kind}"));
        let holds =
            || fs::read_to_string(&path).unwrap_or_default().lines().any(|found| found == line || line.is_empty());
        assert!(eventually(DEADLINE, holds), "{} has no line {line:?}", path.display());
    }
}

/// An orchestrator before `face`, which it talks to in `era`.
fn before(face: &Face, era: &str) -> Test {
    Test::new().registry(&format!("{PLAIN}[servers.next]\nurl = \"http://{}/mcp\"\nera = \"{era}\"\n", face.address))
}

fn call(scene: &mut Scene) -> &'static str {
    assert_eq!(scene.host.value("echo", json!({ "n": 1.0, "deep": [null] })), json!({ "n": 1.0, "deep": [null] }));
    "works"
}

fn progress(scene: &mut Scene) -> &'static str {
    let host = &mut scene.host;
    let params = json!({ "name": "progress", "arguments": { "n": 4 }, "_meta": { "progressToken": "mine" } });
    let id = host.send("tools/call", params);
    assert_eq!(host.answer(id)["result"]["structuredContent"]["done"], 4);
    let is_progress = |message: &Value| message["params"]["progressToken"] == "mine";
    let told: Vec<_> = host.heard().iter().map(|heard| &heard.message).filter(|message| is_progress(message)).collect();
    let steps: Vec<_> = told.iter().map(|message| message["params"]["progress"].as_f64().unwrap_or_default()).collect();
    assert_eq!(steps, [1.0, 2.0, 3.0, 4.0], "in order, and none after the answer");
    "works"
}

fn log(scene: &mut Scene) -> &'static str {
    let host = &mut scene.host;
    let mut params = json!({ "name": "log", "arguments": { "level": "debug", "data": "a gear slips" } });
    if host.is_modern {
        params["_meta"]["io.modelcontextprotocol/logLevel"] = json!("debug");
    } else {
        host.request("logging/setLevel", json!({ "level": "debug" }));
    }
    // The level reaches a server that is far away after the answer to the host.
    let is_told = eventually(DEADLINE, || {
        host.request("tools/call", params.clone());
        host.heard().iter().any(|heard| heard.message["params"]["data"] == "a gear slips")
    });
    assert!(is_told, "no log message has come");
    "works"
}

fn cancel(scene: &mut Scene) -> &'static str {
    let id = scene.host.send_call("hang", json!({}));
    scene.await_record("calls", "hang");
    scene.host.notify("notifications/cancelled", json!({ "requestId": id }));
    scene.await_record("cancelled", "");
    "works"
}

fn ask(scene: &mut Scene, method: &str, answer: &Value) -> &'static str {
    let host = &mut scene.host;
    let arguments = json!({ "method": method, "message": "Your name?" });
    let id = host.send_call("ask", arguments.clone());
    let result = if host.is_modern {
        let first = host.answer(id)["result"].clone();
        let (key, question) = first["inputRequests"].as_object().and_then(|all| all.iter().next()).expect("a question");
        assert_eq!(question["method"], method);
        let mut params = json!({ "name": "ask", "arguments": arguments, "inputResponses": { key: answer } });
        params["requestState"] = first["requestState"].clone();
        host.request("tools/call", params)
    } else {
        let question = host.wait_for("a question", |message| message["method"] == method);
        host.respond(&question["id"], answer.clone());
        host.answer(id)
    };
    assert_eq!(&result["result"]["structuredContent"]["answer"], answer, "{result}");
    "works"
}

fn list_changed(scene: &mut Scene) -> &'static str {
    if scene.host.is_modern {
        scene.listen(&json!({ "toolsListChanged": true }));
    }
    scene.host.value("add_tool", json!({}));
    scene.host.wait_for("the change", |message| message["method"] == "notifications/tools/list_changed");
    scene.host.ready(&["extra"]);
    "works"
}

fn subscribe(scene: &mut Scene) -> &'static str {
    let uri = "fixture://readme";
    if scene.host.is_modern {
        scene.listen(&json!({ "resourceSubscriptions": [uri] }));
    } else {
        scene.host.request("resources/subscribe", json!({ "uri": uri }));
    }
    scene.await_record("subscribed", uri);
    scene.host.value("touch", json!({ "uri": uri }));
    let is_update = |message: &Value| message["method"] == "notifications/resources/updated";
    scene.host.wait_for("the update", |message| is_update(message) && message["params"]["uri"] == uri);
    "works"
}

fn task(scene: &mut Scene) -> &'static str {
    let host = &mut scene.host;
    let result = host.call("job", json!({ "n": 7 }));
    let (word, result) = match result["taskId"].as_str() {
        Some(task) => {
            let mut state = Value::Null;
            let is_over = eventually(DEADLINE, || {
                state = host.request("tasks/get", json!({ "taskId": task }))["result"].clone();
                state["status"] == "completed"
            });
            assert!(is_over, "{state}");
            ("works", state["result"].clone())
        }
        None => ("result awaited", result),
    };
    assert_eq!(result["structuredContent"]["done"], 7, "{result}");
    word
}

fn big(scene: &mut Scene) -> &'static str {
    let result = scene.host.call("big", json!({ "bytes": 5_000_000 }));
    assert_eq!(result["content"][0]["text"].as_str().map(str::len), Some(5_000_000));
    "works"
}

#[test]
fn every_feature_works_between_every_host_and_every_server() {
    let scenes = ["stdio", "HTTP"]
        .into_iter()
        .flat_map(|transport| ERAS.map(|host| (transport, host)))
        .flat_map(|(transport, host)| ERAS.map(|server| (transport, host, server)));
    let playing: Vec<_> = scenes
        .map(|(transport, host, server)| {
            let name = format!("{host} host, {server} server, {transport}");
            let play = move || {
                let mut scene = Scene::new(host, server, transport);
                FEATURES.map(|(_, feature)| feature(&mut scene))
            };
            let title = format!("{transport}: {host} → {server}");
            (title, thread::Builder::new().name(name).spawn(play).expect("a thread"))
        })
        .collect();
    // Every scene ends before one that does not work ends the test.
    let played: Vec<_> = playing.into_iter().map(|(title, playing)| (playing.join(), title)).collect();
    let columns: Vec<_> = played
        .into_iter()
        .map(|(words, title)| (words.unwrap_or_else(|_| panic!("{title} does not work")), title))
        .collect();
    let mut table = "# Features by era and transport\n\nWhat works between a host (left of the arrow) and a server (right of \
                     it), of the initialize era (*legacy*, up\nto 2025-11-25) and of 2026-07-28 (*modern*), each reached over \
                     stdio or over Streamable HTTP. `tests/it/matrix.rs` plays\nevery cell and writes this table.\n\n\
                     *result awaited*: host or server does not know the tasks of 2026-07-28, so the host is given the result \
                     when the task is\nover.\n\n|"
        .to_owned();
    let row = |table: &mut String, first: &str, cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<_> = cells.collect();
        writeln!(table, " {first} | {} |", cells.join(" | ")).expect("memory does not fail");
    };
    row(&mut table, "", &mut columns.iter().map(|(_, title)| title.as_str()));
    writeln!(table, "|{}", "---|".repeat(columns.len() + 1)).expect("memory does not fail");
    for (at, (feature, _)) in FEATURES.iter().enumerate() {
        table.push('|');
        row(&mut table, feature, &mut columns.iter().map(|(words, _)| words[at]));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/matrix.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &table).expect("docs/matrix.md is writable");
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(known, table, "run the tests with UPDATE_EXPECT=1 to refresh it");
}

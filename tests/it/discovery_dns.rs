//! Servers by the records of a name, told by a real name server.

use serde_json::{Value, json};

use crate::support::names::Names;
use crate::support::web::{Manner, Web};
use crate::support::{DEADLINE, Host, Test, eventually};

fn host(names: &Names, name: &str) -> Host {
    let source = format!("[discovery.sources.zone]\ndns = {name:?}\nnameserver = \"127.0.0.1:{}\"\n", names.port);
    // Asked again when the records say so, which is after a second.
    Test::new().registry(&format!("{source}refresh = \"1h\"\ngrace = \"300ms\"\ntimeout = \"3s\"\n")).start()
}

fn has(host: &mut Host, server: &str) -> bool {
    host.tools().iter().any(|tool| tool.starts_with(&format!("{server}__")))
}

fn status(host: &mut Host) -> Value {
    host.value("orchestrator_status", json!({}))
}

fn srv(name: &str, port: u16, priority: u16) -> String {
    format!("--srv-host={name},here.test.example,{port},{priority},0")
}

fn weighing(name: &str, port: u16, weight: u16) -> String {
    format!("--srv-host={name},here.test.example,{port},0,{weight}")
}

fn here() -> String {
    "--host-record=here.test.example,127.0.0.1".to_owned()
}

#[test]
fn a_server_is_found_by_its_records_and_goes_with_them() {
    let web = Web::start(Manner::Legacy);
    let text = "--txt-record=_docs._tcp.test.example,name=docs,path=/mcp".to_owned();
    let mut names = Names::with(&[srv("_docs._tcp.test.example", web.port, 10), text, here()]);
    let mut host = host(&names, "_docs._tcp.test.example");
    host.ready(&["docs"]);
    assert_eq!(status(&mut host)["servers"][0]["from"], "discovery.sources.zone");
    names.stop();
    let is_told = eventually(DEADLINE, || status(&mut host)["sources"][0]["trouble"].to_string().contains("[MO5501]"));
    assert!(is_told, "{}", status(&mut host));
    assert!(has(&mut host, "docs"), "a name server that does not answer says nothing of the server");
    names.know(&[here()]);
    assert!(eventually(DEADLINE, || !has(&mut host, "docs")), "{}", host.stderr());
}

#[test]
fn a_name_may_lead_to_several_servers_with_several_places() {
    let (first, second, mail) = (Web::start(Manner::Legacy), Web::start(Manner::Legacy), Web::start(Manner::Legacy));
    let (docs, post) = ("docs._mcp._tcp.test.example", "post._mcp._tcp.test.example");
    let pointer = |name: &str| format!("--ptr-record=_mcp._tcp.test.example,{name}");
    let records = [
        pointer(docs),
        pointer(post),
        here(),
        srv(docs, first.port, 10),
        srv(docs, second.port, 20),
        srv(post, mail.port, 0),
    ];
    let mut names = Names::with(&records);
    let mut host = host(&names, "_mcp._tcp.test.example");
    host.ready(&["docs", "post"]);
    let all = status(&mut host);
    let instances = &all["servers"][0]["instances"];
    assert_eq!(
        (all["servers"][0]["name"].as_str(), instances.as_array().map(Vec::len)),
        (Some("docs"), Some(2)),
        "{all}"
    );
    host.call("docs__echo", json!({ "text": "x" }));
    assert_eq!((first.calls(), second.calls()), (1, 0), "the nearer place is used");
    names.know(&records[1..]);
    assert!(eventually(DEADLINE, || !has(&mut host, "docs")), "{}", host.stderr());
    assert!(has(&mut host, "post"));
}

#[test]
fn the_heavier_of_two_places_is_used_more_often() {
    let (heavy, light) = (Web::start(Manner::Legacy), Web::start(Manner::Legacy));
    let docs = "docs._mcp._tcp.test.example";
    let names = Names::with(&[weighing(docs, light.port, 0), weighing(docs, heavy.port, 60_000), here()]);
    let mut host = host(&names, docs);
    host.ready(&["zone"]);
    let is_complete = eventually(DEADLINE, || {
        let instances = status(&mut host)["servers"][0]["instances"].clone();
        instances.as_array().is_some_and(|all| all.len() == 2 && all.iter().all(|one| one["state"] == "ready"))
    });
    assert!(is_complete, "{}", status(&mut host));
    for _ in 0..12 {
        host.call("zone__echo", json!({ "text": "x" }));
    }
    assert_eq!((heavy.calls(), light.calls()), (12, 0), "a weight of 0 has a very small chance");
}

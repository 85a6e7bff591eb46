//! Servers that make themselves known in the local network, here on loopback: another process announces them.

use std::net::IpAddr;

use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};
use serde_json::json;

use crate::support::web::{Manner, Web};
use crate::support::{DEADLINE, Host, Test, eventually};

fn has(host: &mut Host, server: &str) -> bool {
    host.tools().iter().any(|tool| tool.starts_with(&format!("{server}__")))
}

#[test]
fn a_server_that_announces_itself_is_found_and_goes_when_it_says_so() {
    let web = Web::start(Manner::Legacy);
    // A kind of its own, as other tests may listen on this machine.
    let kind = format!("_mcp{}._tcp.local.", web.port);
    let daemon = ServiceDaemon::new().expect("multicast DNS");
    daemon.disable_interface(IfKind::All).expect("no interface");
    daemon.enable_interface(IfKind::Name("lo".to_owned())).expect("loopback");
    let here = IpAddr::from([127, 0, 0, 1]);
    let said = [("path", "/mcp")];
    let info = ServiceInfo::new(&kind, "docs", "here.local.", here, web.port, &said[..]).expect("a service");
    let name = info.get_fullname().to_owned();
    daemon.register(info).expect("it is announced");
    let source = format!("[discovery.sources.lan]\nmdns = {kind:?}\ninterfaces = [\"lo\"]\ngrace = \"300ms\"\n");
    let mut host = Test::new().registry(&source).start();
    host.ready(&["docs"]);
    let status = host.value("orchestrator_status", json!({}));
    assert_eq!(status["servers"][0]["from"], "discovery.sources.lan");
    daemon.unregister(&name).expect("it says good-bye");
    assert!(eventually(DEADLINE, || !has(&mut host, "docs")), "{}", host.stderr());
    let _ = daemon.shutdown();
}

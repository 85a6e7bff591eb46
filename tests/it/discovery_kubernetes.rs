//! Services of a Kubernetes cluster as servers, as its API tells them.

use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::web::{Manner, Web};
use crate::support::{DEADLINE, Host, Test, eventually};

fn host(cluster: &Cluster) -> Host {
    asking(cluster, "t0ken")
}

/// A host that proves by `token` who it is.
fn asking(cluster: &Cluster, token: &str) -> Host {
    let place = format!(
        "kubernetes = {{ api = \"http://127.0.0.1:{}\", token = \"${{CLUSTER}}\", namespace = \"tools\", labels = \"mcp=yes\" }}\n",
        cluster.port
    );
    let source = format!("[discovery.sources.cluster]\n{place}grace = \"300ms\"\ntimeout = \"3s\"\nrefresh = \"1s\"\n");
    Test::new().registry(&source).env("CLUSTER", token).start()
}

fn has(host: &mut Host, server: &str) -> bool {
    host.tools().iter().any(|tool| tool.starts_with(&format!("{server}__")))
}

fn status(host: &mut Host) -> Value {
    host.value("orchestrator_status", json!({}))
}

fn instances(host: &mut Host) -> usize {
    status(host)["servers"][0]["instances"].as_array().map_or(1, Vec::len)
}

/// How often services were listed.
fn lists(cluster: &Cluster) -> usize {
    cluster.asked().iter().filter(|path| path.contains("/services?") && !path.contains("watch=true")).count()
}

fn watches(cluster: &Cluster) -> Vec<String> {
    cluster.asked().into_iter().filter(|path| path.contains("/services?") && path.contains("watch=true")).collect()
}

/// A cluster with one service of one pod, and a host that sees it.
fn docs(web: &Web) -> (Cluster, Host) {
    let cluster = Cluster::start();
    cluster.service("docs", json!({ "mcp-orchestrator/port": "mcp" }));
    cluster.slice("docs-1", "docs", web.port);
    let mut host = host(&cluster);
    host.ready(&["docs"]);
    (cluster, host)
}

#[test]
fn pods_come_and_go_as_instances_and_services_as_servers() {
    let (first, second) = (Web::start(Manner::Legacy), Web::start(Manner::Legacy));
    let (cluster, mut host) = docs(&first);
    assert_eq!(status(&mut host)["servers"][0]["from"], "discovery.sources.cluster");
    cluster.slice("docs-2", "docs", second.port);
    assert!(eventually(DEADLINE, || instances(&mut host) == 2), "{}", status(&mut host));
    cluster.delete("endpointslices", "docs-1");
    assert!(eventually(DEADLINE, || instances(&mut host) == 1), "{}", status(&mut host));
    host.call("docs__echo", json!({ "text": "x" }));
    assert_eq!((first.calls(), second.calls()), (0, 1));
    cluster.service("mail", json!({}));
    cluster.slice("mail-1", "mail", first.port);
    host.ready(&["docs", "mail"]);
    cluster.delete("services", "docs");
    assert!(eventually(DEADLINE, || !has(&mut host, "docs")), "{}", host.stderr());
    assert!(has(&mut host, "mail"));
    assert_eq!(lists(&cluster), 1, "everything was told by one watch: {:?}", cluster.asked());
}

#[test]
fn a_watch_that_breaks_off_goes_on_where_it_was() {
    let web = Web::start(Manner::Legacy);
    let (cluster, mut host) = docs(&web);
    assert!(eventually(DEADLINE, || watches(&cluster).len() == 1));
    cluster.pass(true);
    // What happens after the bookmark has been read shows that it has been.
    cluster.service("mail", json!({}));
    cluster.slice("mail-1", "mail", web.port);
    host.ready(&["mail"]);
    cluster.pass(true);
    cluster.service("post", json!({}));
    cluster.slice("post-1", "post", web.port);
    host.ready(&["post"]);
    cluster.break_off();
    assert!(eventually(DEADLINE, || watches(&cluster).len() == 2), "{:?}", cluster.asked());
    cluster.delete("services", "mail");
    assert!(eventually(DEADLINE, || !has(&mut host, "mail")), "{}", host.stderr());
    assert_eq!(lists(&cluster), 1, "nothing was listed again: {:?}", cluster.asked());
    assert!(
        !watches(&cluster)[1].contains("resourceVersion=2&"),
        "it goes on later than it began: {:?}",
        watches(&cluster)
    );
}

#[test]
fn a_version_that_is_too_old_is_listed_anew_and_nothing_is_missed() {
    let web = Web::start(Manner::Legacy);
    let (cluster, mut host) = docs(&web);
    assert!(eventually(DEADLINE, || watches(&cluster).len() == 1));
    // Whatever happens between the end of the watch and the list is forgotten as an event.
    cluster.break_off();
    cluster.service("mail", json!({}));
    cluster.slice("mail-1", "mail", web.port);
    cluster.delete("services", "docs");
    cluster.pass(false);
    cluster.forget();
    host.ready(&["mail"]);
    assert!(eventually(DEADLINE, || !has(&mut host, "docs")), "{}", host.stderr());
    assert!(lists(&cluster) >= 2, "{:?}", cluster.asked());
    assert!(!host.stderr().contains("MO5501"), "it is no failure\n{}", host.stderr());
}

#[test]
fn a_cluster_that_does_not_answer_changes_nothing() {
    let web = Web::start(Manner::Legacy);
    let (cluster, mut host) = docs(&web);
    cluster.set_down(true);
    let is_told = eventually(DEADLINE, || status(&mut host)["sources"][0]["trouble"].to_string().contains("HTTP 503"));
    assert!(is_told, "{}", status(&mut host));
    assert!(has(&mut host, "docs"));
    cluster.service("mail", json!({}));
    cluster.slice("mail-1", "mail", web.port);
    cluster.set_down(false);
    host.ready(&["docs", "mail"]);
    assert!(eventually(DEADLINE, || status(&mut host)["sources"][0]["trouble"].is_null()), "{}", status(&mut host));
}

#[test]
fn a_role_that_lacks_something_is_told_of_once() {
    let cluster = Cluster::start();
    let mut host = asking(&cluster, "another");
    assert!(eventually(DEADLINE, || cluster.asked().len() >= 7), "{:?}", cluster.asked());
    let trouble = status(&mut host)["sources"][0]["trouble"].to_string();
    assert!(trouble.contains("list and watch services and endpointslices (HTTP 403)"), "{trouble}");
    assert_eq!(host.stderr().matches("MO5501").count(), 1, "{}", host.stderr());
}

#[test]
fn a_file_for_kubectl_says_where_the_cluster_is() {
    let web = Web::start(Manner::Legacy);
    let cluster = Cluster::start();
    cluster.service("docs", json!({}));
    cluster.slice("docs-1", "docs", web.port);
    let print = r#"case "$KUBERNETES_EXEC_INFO" in *ExecCredential*) echo "{\"status\":{\"token\":\"$IT\"}}";; esac"#;
    let config = json!({
        "current-context": "other",
        "contexts": [
            { "name": "dev", "context": { "cluster": "near", "user": "me" } },
            { "name": "cloud", "context": { "cluster": "near", "user": "robot" } },
        ],
        "clusters": [{ "name": "near", "cluster": { "server": format!("http://127.0.0.1:{}", cluster.port) } }],
        "users": [
            { "name": "me", "user": { "tokenFile": "token" } },
            { "name": "robot", "user": { "exec": { "command": "sh", "args": ["-c", print], "env": [{ "name": "IT", "value": "t0ken" }] } } },
        ],
    });
    let source = |more: &str| {
        let place = format!("{{ kubeconfig = \"~/.kube/config\", namespace = \"tools\", labels = \"mcp=yes\"{more} }}");
        format!("[discovery.sources.cluster]\nkubernetes = {place}\nrefresh = \"1s\"\n")
    };
    let test =
        Test::new().registry(&source("")).file(".kube/config", &config.to_string()).file(".kube/token", "t0ken\n");
    let home = test.home().display().to_string();
    let mut host = test.env("HOME", &home).start();
    let trouble = |host: &mut Host| status(host)["sources"][0]["trouble"].to_string();
    let is_told =
        eventually(DEADLINE, || trouble(&mut host).contains("it has no context `other`; it has `dev`, `cloud`"));
    assert!(is_told, "{}", trouble(&mut host));
    let registry = host.home().join("registry.toml");
    std::fs::write(&registry, source(", context = \"dev\"")).expect("the registry");
    host.ready(&["docs"]);
    std::fs::write(&registry, source(", context = \"cloud\"")).expect("the registry");
    let is_told = eventually(DEADLINE, || trouble(&mut host).contains("wants `sh` to be run; say `exec = true`"));
    assert!(is_told, "{}", trouble(&mut host));
    std::fs::write(&registry, source(", context = \"cloud\", exec = true")).expect("the registry");
    host.ready(&["docs"]);
    assert!(eventually(DEADLINE, || trouble(&mut host) == "null"), "{}", trouble(&mut host));
}

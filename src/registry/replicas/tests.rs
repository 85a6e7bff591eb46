//! What a registry may say of instances.

use std::sync::Arc;

use super::*;
use crate::model::problem::Source;
use crate::registry::load::load;
use crate::registry::server::Server;

fn server(settings: &str) -> (Option<Arc<Server>>, Vec<String>) {
    let text = format!("[servers.one]\n{settings}\n");
    let (registry, problems) = load(&[Source::new("registry.toml", text.as_str())]);
    (registry.servers.get("one").cloned(), problems.into_iter().map(|problem| problem.message).collect())
}

fn replicas(settings: &str) -> Replicas {
    let (server, problems) = server(settings);
    assert_eq!(problems, Vec::<String>::new());
    server.expect("a server without a mistake").replicas.clone()
}

#[test]
fn a_server_has_one_instance_unless_it_says_otherwise() {
    assert_eq!(replicas("command = \"x\""), Replicas::default());
    let three = replicas("command = \"x\"\nreplicas = 3");
    assert_eq!((three.min, three.max, three.is_elastic()), (3, 3, false));
    let some = replicas("command = \"x\"\nreplicas = { min = 1, max = 4, warm = 1, down_after = \"5s\" }");
    assert_eq!((some.min, some.max, some.warm, some.down_after), (1, 4, 1, Duration::from_secs(5)));
}

#[test]
fn instances_elsewhere_get_the_headers_of_the_first_unless_they_have_their_own() {
    let settings = "url = \"https://a.example.com/mcp\"\nheaders = { X = \"1\" }\n\
                    replicas = [{ url = \"https://b.example.com/mcp\" }, { url = \"https://c.example.com/mcp\", \
                    headers = { Y = \"2\" }, priority = 1 }]";
    let all = replicas(settings);
    assert_eq!((all.min, all.max), (3, 3));
    let names = |other: &Other| match &other.launch {
        Launch::Url(address) => address.headers.keys().cloned().collect::<Vec<_>>(),
        Launch::Command(_) => Vec::new(),
    };
    assert_eq!(all.others.iter().map(names).collect::<Vec<_>>(), [["X"], ["Y"]]);
    assert_eq!(all.others.iter().map(|other| other.tier).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn instances_have_their_shares_of_the_calls() {
    let first = "url = \"https://a.example.com/mcp\"";
    let others =
        "replicas = [{ url = \"https://b.example.com/mcp\", weight = 0 }, { url = \"https://c.example.com/mcp\" }]";
    let all = replicas(&format!("{first}\nweight = 5\n{others}"));
    assert_eq!((all.weight, all.others.iter().map(|other| other.weight).collect::<Vec<_>>()), (5, vec![0, 1]));
    assert_eq!(
        server(&format!("{first}\nweight = 5")).1,
        ["a `weight` has no effect without a list of `replicas` to share calls with"]
    );
}

#[test]
fn mistakes_are_found() {
    let problems = |settings| server(settings).1;
    assert_eq!(
        problems("command = \"x\"\nreplicas = { min = 3, max = 2 }"),
        ["`servers.one.replicas.min` is above `servers.one.replicas.max`"]
    );
    assert_eq!(problems("command = \"x\"\nreplicas = 0").len(), 1);
    assert_eq!(problems("url = \"https://a.example.com\"\nreplicas = [{ priority = 1 }]").len(), 1);
    assert_eq!(problems("command = \"x\"\nsticky = \"yes\"").len(), 1);
}

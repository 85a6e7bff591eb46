//! The part about where more servers come from.

use serde_json::Value;

use super::{boolean, count, duration, map, named_texts, shared, table, text, texts};

pub(super) fn discovery() -> Value {
    table(vec![
        (
            "include",
            texts(),
            "More files with servers, or globs of them, relative to this file; `server.json` among them.",
        ),
        ("environment", boolean(), "Whether MCP_SERVER_NAME_URL and MCP_SERVER_NAME_COMMAND mean servers."),
        ("sources", map(&shared("source")), "Sources that are asked again and again."),
    ])
}

pub(super) fn source() -> Value {
    table(vec![
        ("command", text(), "A program that prints servers as JSON."),
        ("args", texts(), "Its arguments."),
        ("env", named_texts(), "Its environment, beside what every child gets."),
        ("cwd", text(), "Its working directory."),
        ("url", text(), "An address that answers with servers as JSON: https, or http on this machine."),
        ("headers", named_texts(), "Headers of the request."),
        ("dns", text(), "A name whose SRV and TXT records tell servers, or whose PTR records lead to such names."),
        ("nameserver", text(), "The address of the name server that is asked; those of the system by default."),
        ("kubernetes", shared("kubernetes"), "A cluster whose services are servers."),
        ("mdns", text(), "A kind of service in the local network, for instance `_mcp._tcp.local`."),
        ("interfaces", texts(), "The network interfaces that are listened to; all by default."),
        ("refresh", duration(), "How often it is asked."),
        ("timeout", duration(), "How long it may take to answer."),
        ("grace", duration(), "How long a server stays that it does not name any more."),
        ("max_servers", count(1, 1_000), "How many servers it may bring."),
        ("prefix", text(), "Put before the names of its servers."),
        ("trusted", boolean(), "Whether what its servers say of their tools is believed."),
        ("allow_commands", boolean(), "Whether it may name programs to start; only with `command`."),
        ("variables", texts(), "Variables of the environment that its servers may be given."),
    ])
}

pub(super) fn kubernetes() -> Value {
    let mut kubernetes = table(vec![
        ("labels", text(), "The labels of the services that are servers, as a selector."),
        ("namespace", text(), "Where they are; everywhere by default."),
        ("api", text(), "The address of the API; that of the cluster which the program runs in by default."),
        ("token", text(), "What proves who asks."),
        ("ca", text(), "The file with the certificate of the authority that has signed the API's."),
        ("kubeconfig", text(), "A file that says all of that, as `kubectl` reads it, for instance `~/.kube/config`."),
        ("context", text(), "Which of its contexts counts; the current one by default."),
        ("exec", boolean(), "Whether the program may be run that the file names to prove who asks."),
    ]);
    kubernetes["required"] = serde_json::json!(["labels"]);
    kubernetes
}

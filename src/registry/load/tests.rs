//! Registries of every shape, and everything that can be wrong with them at once.

use std::time::Duration;

use super::*;
use crate::model::effect::Effect;
use crate::policy::retry::{Backoff, Retry};
use crate::registry::server::{Launch, Probe, Server, Start, Transport};

fn load_files(files: &[(&str, &str)]) -> (Registry, Vec<String>) {
    let sources: Vec<_> = files.iter().map(|(name, text)| Source::new(*name, *text)).collect();
    let (registry, problems) = load(&sources);
    (registry, problems.iter().map(Problem::to_string).collect())
}

fn load_toml(text: &str) -> (Registry, Vec<String>) {
    load_files(&[("r.toml", text)])
}

/// A registry without problems.
fn good(name: &str, text: &str) -> Registry {
    let (registry, problems) = load_files(&[(name, text)]);
    assert_eq!(problems, Vec::<String>::new());
    registry
}

fn names(registry: &Registry) -> Vec<&str> {
    registry.servers.keys().map(|name| &**name).collect()
}

fn url(server: &Server) -> &str {
    match &server.launch {
        Launch::Url(address) => address.url.as_written(),
        Launch::Command(_) => panic!("a command"),
    }
}

fn command_line(server: &Server) -> String {
    match &server.launch {
        Launch::Command(command) => {
            let args = command.args.iter().map(ToString::to_string);
            [command.command.to_string()].into_iter().chain(args).collect::<Vec<_>>().join(" ")
        }
        Launch::Url(_) => panic!("a url"),
    }
}

mod clients;

#[test]
fn a_full_registry_is_read_with_its_defaults() {
    let registry = good(
        "registry.toml",
        r#"
[orchestrator]
workflows = ["workflows/*.yaml"]
max_concurrent_runs = 7
instructions = "be kind"

[defaults]
timeout = "90s"
retry = { attempts = 2, delay = "2s" }
health = { every = "20s", probe = "http:/health" }

[servers.github]
command = "npx"
args = ["-y", "server-github", 8080]
env = { GITHUB_TOKEN = "${TOKEN}", PORT = 8080 }
cwd = "${userHome}/x"
start = "lazy"
required = true
priority = 10
concurrency = 8
connect_timeout = "5s"
retry = { max_delay = "1m", backoff = "linear" }
breaker = { failures = 9 }
version = ">=1.2, <3"
trusted = false
fallback = ["docs"]
tools = { deny = ["delete_*"], "search_code" = { rename = "search", effect = "read", timeout = "5m" } }

[servers.docs]
url = "https://docs.example.com/mcp"
headers = { Authorization = "Bearer ${DOCS}" }
timeout = "5s"
"#,
    );
    assert_eq!(registry.orchestrator.workflows, ["workflows/*.yaml"]);
    assert_eq!((registry.orchestrator.max_concurrent_runs, registry.orchestrator.max_concurrent_steps), (7, 50));
    let github = &registry.servers["github"];
    assert_eq!(command_line(github), "npx -y server-github 8080");
    assert_eq!((github.start, github.required, github.priority, github.concurrency), (Start::Lazy, true, 10, 8));
    assert_eq!((github.connect_timeout, github.timeout), (Duration::from_secs(5), Duration::from_secs(90)));
    let expected = Retry {
        attempts: 2,
        delay: Duration::from_secs(2),
        max_delay: Duration::from_mins(1),
        backoff: Backoff::Linear,
        ..Retry::default()
    };
    assert_eq!(github.retry, expected);
    assert_eq!(github.breaker.failures, 9);
    assert_eq!(github.health.probe, Probe::Auto, "the default probe needs a url");
    assert_eq!(github.fallback, [Arc::from("docs")]);
    assert!(!github.trusted && !github.disabled);
    assert!(github.version.as_ref().unwrap().matches(&semver::Version::new(2, 0, 0)));
    assert!(!github.tools.admits("delete_repo") && github.tools.admits("search_code"));
    let told = github.tools.get("search_code").unwrap();
    assert_eq!((told.rename.as_deref(), told.effect), (Some("search"), Some(Effect::Read)));
    let docs = &registry.servers["docs"];
    assert_eq!((url(docs), docs.timeout), ("https://docs.example.com/mcp", Duration::from_secs(5)));
    assert_eq!(docs.health.probe, Probe::Http("/health".to_owned()));
    assert_eq!(docs.health.settings.every, Duration::from_secs(20));
}

const MISTAKEN: &str = r#"[orchestrator]
max_concurrent_run = 3
[defaults]
retry = { attempts = 0 }
[servers.good]
command = "true"
[servers."my server"]
command = "x"
[servers.none]
args = []
[servers.both]
command = "x"
url = "https://example.com"
[servers.socket]
url = "unix://here/s"
[servers.lost]
command = "x"
fallback = ["goood"]
[servers.typo]
comand = "x"
url = "${URL}"
start = "lazzy"
version = "=>1"
[servers.secretive]
command = "x"
env = { KEY = "hunter2 ${secret:key}" }
[servers.renaming]
command = "x"
tools = { a = { rename = "c" }, b = { rename = "c" } }
"#;

#[test]
fn a_command_that_is_empty_starts_nothing() {
    let (registry, problems) = load_toml("[servers.a]\ncommand = \" \"\n");
    let told = "r.toml:2:11: error[MO1004]: `servers.a.command` is empty; name the program that starts the server, and give its \
                arguments as `args`";
    assert_eq!((problems, registry.servers.len()), (vec![told.to_owned()], 0));
}

#[test]
fn every_mistake_is_reported_at_once_and_good_servers_stay() {
    let (registry, problems) = load_toml(MISTAKEN);
    assert_eq!(
        problems,
        [
            "r.toml:2:1: error[MO1003]: unknown key `max_concurrent_run` in `orchestrator`; did you mean `max_concurrent_runs`?",
            "r.toml:4:22: error[MO1004]: `defaults.retry.attempts` must be a whole number from 1 to 100, not 0",
            "r.toml:7:10: error[MO1004]: `my server` cannot be a server's name; use 1 to 64 of `A-Z a-z 0-9 _ -`, for instance `my_server`",
            "r.toml:9:1: error[MO1005]: `servers.none` needs `command` or `url`; `command` starts a process, `url` connects to a server that runs already",
            "r.toml:13:1: error[MO1007]: `servers.both` has both `command` and `url`; keep the one by which the server is reached",
            "r.toml:15:7: error[MO1004]: `servers.socket.url` is no URL of http, https or a socket; it has the form `https://HOST/PATH`, `unix:///PATH/OF/SOCKET` or `http+unix://%2FPATH%2FOF%2FSOCKET/PATH`, or begins with a placeholder such as `${URL}`",
            "r.toml:18:13: error[MO1008]: there is no server `goood`; did you mean `good`?",
            "r.toml:20:1: error[MO1003]: unknown key `comand` in `servers.typo`; did you mean `command`?",
            "r.toml:22:9: error[MO1004]: `servers.typo.start` must be one of `lazy`, `eager`, not `lazzy`; did you mean `lazy`?",
            "r.toml:23:11: error[MO1004]: `servers.typo.version` is no range of versions: unexpected character '>' while parsing major version number; for example `>=1.2, <3`, `^1.4`, `2.*`",
            "r.toml:26:15: error[MO1004]: `servers.secretive.env.KEY`: `${secret:…}` is not supported yet; use `${KEY}` and set `KEY` in the environment",
            "r.toml:29:48: error[MO1006]: `a` and `b` are both renamed to `c`; choose another name",
        ]
    );
    assert_eq!(names(&registry), ["good"]);
}

#[test]
fn patches_mend_what_they_are_for() {
    let source = Source::new("r.toml", MISTAKEN);
    let (_, problems) = load(&[Arc::clone(&source)]);
    let mut patches: Vec<_> = problems.into_iter().filter_map(|problem| problem.patch).collect();
    patches.sort_by_key(|patch| std::cmp::Reverse(patch.span.start));
    let mut text = source.text.clone();
    for patch in patches {
        text.replace_range(patch.span, &patch.replacement);
    }
    for mended in [
        "max_concurrent_runs = 3",
        "[servers.\"my_server\"]",
        "fallback = [\"good\"]",
        "command = \"x\"\nurl",
        "start = \"lazy\"",
    ] {
        assert!(text.contains(mended), "{mended} in\n{text}");
    }
}

#[test]
fn no_message_holds_a_secret() {
    let secret = "hunter2";
    let text = format!(
        r#"
[servers.a]
command = "x"
env = {{ A = ["{secret}"], B = "{secret}${{", C = "{secret}${{BAD NAME:-{secret}}}", D = {{ x = "{secret}" }} }}
[servers.b]
url = "https://x"
headers = {{ Authorization = "Bearer {secret} ${{input:{secret}}}", X = ["{secret}"], Y = "${{env:1{secret}}}" }}
[servers.c]
url = "https://x"
headers = "{secret}"
[servers.d]
command = "x"
env = ["{secret}"]
"#
    );
    let (registry, problems) = load_toml(&text);
    assert_eq!((problems.len(), registry.servers.len()), (9, 0), "{problems:#?}");
    let shown = problems.join("\n");
    assert!(!shown.contains(secret), "{shown}");
    let literal = "[servers.a]\ncommand = 'x'\nargs = ['hunter2']\nenv = { A = 'hunter2' }\n[servers.b]\nurl = 'https://x/?k=hunter2'\nheaders = { B = 'hunter2' }\n";
    assert!(!format!("{:?}", good("r.toml", literal)).contains(secret));
}

#[test]
fn fallbacks_may_not_lead_in_circles_or_to_nothing() {
    let server = |name: &str, fallback: &str| format!("[servers.{name}]\ncommand = 'x'\nfallback = [{fallback}]\n");
    let text = [
        server("a", "'b'"),
        server("b", "'c', 'd'"),
        server("c", "'a'"),
        server("d", ""),
        server("me", "'me'"),
        server("ok", "'d', 'broken'"),
        "[servers.broken]\n".to_owned(),
    ]
    .concat();
    let (registry, problems) = load_toml(&text);
    assert_eq!(
        problems,
        [
            "r.toml:9:13: error[MO1007]: fallbacks lead in a circle: a -> b -> c -> a; remove one of them",
            "r.toml:15:13: error[MO1007]: `me` falls back on itself; remove it",
            "r.toml:19:1: error[MO1005]: `servers.broken` needs `command` or `url`; `command` starts a process, `url` connects to a server that runs already",
        ]
    );
    assert_eq!(names(&registry), ["a", "b", "d", "ok"]);
    assert_eq!(registry.servers["ok"].fallback, [Arc::from("d")], "a server that is left out is nobody's fallback");
    assert_eq!(registry.servers["b"].fallback, [Arc::from("d")]);
}

#[test]
fn a_long_chain_of_fallbacks_is_no_danger() {
    let text: Vec<_> = (0..10_000).map(|n| format!("[servers.s{n}]\ncommand='x'\nfallback=['s{}']\n", n + 1)).collect();
    let (registry, problems) = load_toml(&(text.concat() + "[servers.s10000]\ncommand='x'\n"));
    assert_eq!((registry.servers.len(), problems), (10_001, Vec::new()));
}

#[test]
fn the_first_of_two_servers_of_one_name_stays() {
    let files = [
        ("a.toml", "[servers.x]\ncommand = 'first'\n"),
        ("b.json", "{\"mcpServers\": {\"x\": {\"command\": \"second\"}}}"),
    ];
    let (registry, problems) = load_files(&files);
    assert_eq!(
        problems,
        ["b.json:1:17: error[MO1006]: the server `x` is already defined at a.toml:1; rename or remove one of them"]
    );
    assert_eq!(command_line(&registry.servers["x"]), "first");
}

#[test]
fn defaults_count_for_the_servers_of_every_file() {
    let files =
        [("a.toml", "[defaults]\ntimeout = '7s'\n"), ("b.json", "{\"mcpServers\": {\"x\": {\"command\": \"y\"}}}")];
    let (registry, problems) = load_files(&files);
    assert_eq!((registry.servers["x"].timeout, problems), (Duration::from_secs(7), Vec::new()));
}

#[test]
fn every_spelling_of_a_transport_is_known() {
    let transport = |name: &str, text: &str| match &good(name, text).servers["a"].launch {
        Launch::Url(address) => address.transport,
        Launch::Command(_) => panic!("a command"),
    };
    let spellings = [
        ("http", Transport::Streamable),
        ("streamable-http", Transport::Streamable),
        ("streamable_http", Transport::Streamable),
        ("streamableHttp", Transport::Streamable),
        ("remote", Transport::Streamable),
        ("sse", Transport::Sse),
    ];
    for (word, expected) in spellings {
        let own = format!("[servers.a]\ntype = '{word}'\nurl = 'https://x'\n");
        assert_eq!(transport("r.toml", &own), Some(expected), "{word}");
        for key in ["type", "transport", "transportType"] {
            let foreign = format!(r#"{{"mcpServers": {{"a": {{"url": "https://x", "{key}": "{word}"}}}}}}"#);
            assert_eq!(transport("mcp.json", &foreign), Some(expected), "{key}: {word}");
        }
    }
    assert_eq!(transport("r.toml", "[servers.a]\nurl = 'https://x'\n"), None);
    for word in ["stdio", "local"] {
        good("r.toml", &format!("[servers.a]\ntype = '{word}'\ncommand = 'x'\n"));
        let (_, problems) = load_toml(&format!("[servers.a]\ntype = '{word}'\nurl = 'https://x'\n"));
        assert_eq!(problems, ["r.toml:2:1: error[MO1007]: `servers.a.type` does not go with `url`"]);
    }
}

#[test]
fn a_bare_socket_has_neither_headers_nor_a_health_path() {
    let server = |rest: &str| load_toml(&format!("[servers.a]\nurl = 'unix:///run/x.sock'\n{rest}")).1;
    let headers = "headers = { A = '1' }\n";
    let probe = "health = { probe = 'http:/up' }\n";
    assert_eq!(
        [server(headers), server(probe)].concat(),
        [
            "r.toml:3:1: warning[MO3002]: `servers.a.headers` has no effect without `type = \"http\"`",
            "r.toml:3:1: error[MO1007]: `servers.a` is probed over http but does not speak it; use `ping` or `tool:NAME`",
        ]
    );
    assert_eq!(server(&format!("type = 'http'\n{headers}{probe}")), Vec::<String>::new(), "as VS Code has it");
}

#[test]
fn urls_are_http_or_a_socket_or_come_from_a_variable() {
    let problems = |url: &str| load_toml(&format!("[servers.a]\nurl = '{url}'\n")).1.len();
    let sockets = ["unix:///run/x.sock", "unix://${DIR}/x", "http+unix://%2Frun%2Fx.sock/mcp", "http+unix://${SOCKET}"];
    for fine in ["http://localhost:3000/mcp", "HTTPS://x", "${URL}", "https://${HOST}/mcp"].into_iter().chain(sockets) {
        assert_eq!(problems(fine), 0, "{fine}");
    }
    for wrong in [
        "localhost:3000",
        "",
        "ws://x",
        "https://",
        "https:///x",
        "ftp${X}",
        "https://a b",
        "unix://x",
        "unix:///",
        "http+unix:///x",
        "http+unix://%2F",
    ] {
        assert_eq!(problems(wrong), 1, "{wrong}");
    }
}

#[test]
fn a_file_without_servers_says_what_it_lacks() {
    let problem = |name: &str, text: &str| load_files(&[(name, text)]).1.join("\n");
    assert_eq!(
        problem("r.toml", "[server.a]\ncommand = 'x'\n"),
        "r.toml:1:2: error[MO1005]: the file has no servers, only `server`; did you mean `servers`?"
    );
    assert_eq!(
        problem("m.json", "{\"mcpservers\": {}}"),
        "m.json:1:2: error[MO1005]: the file has no servers, only `mcpservers`; did you mean `mcpServers`?"
    );
    assert_eq!(
        problem("m.json", "{}"),
        "m.json:1:1: error[MO1005]: the file has no servers; they stand under `servers`, `mcpServers`, `context_servers`"
    );
    assert_eq!(problem("r.toml", "[servers]\n"), "");
    assert!(problem("r.toml", "[servers\n").starts_with("r.toml:1:"), "syntax errors are reported too");
}

#[test]
fn absurd_settings_are_refused() {
    for setting in [
        "timeout = 0",
        "connect_timeout = '2d'",
        "concurrency = 0",
        "priority = -1",
        "retry = { attempts = 101 }",
        "retry = { delay = '2m' }",
        "breaker = { half_open_probes = 0 }",
        "health = { every = '0s' }",
        "health = { probe = 'http:/x' }",
        "health = { probe = 'smoke' }",
        "era = 'new'",
        "tools = { allow = ['[a'] }",
        "tools = { x = { rename = 'a b' } }",
        "type = 'sse'",
        "type = 'pipe'",
        "transport = 'stdio'",
        "serverUrl = 'https://x'",
    ] {
        let (registry, problems) = load_toml(&format!("[servers.a]\ncommand = 'x'\n{setting}\n"));
        assert_eq!((problems.len(), registry.servers.len()), (1, 0), "{setting}: {problems:?}");
    }
    assert_eq!(good("r.toml", "[servers.a]\ncommand = 'x'\nretry = 5\n").servers["a"].retry.attempts, 5);
}

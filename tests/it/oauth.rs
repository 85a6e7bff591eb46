//! Servers that want an authorization by OAuth: logins, renewals, and what is refused.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::json;

use crate::support::guarded::{Guarded, Rules, browse, parameters};
use crate::support::{Test, fixture};

/// What `auth login` did.
struct Login {
    code: i32,
    said: String,
}

/// Logs in at `docs`, as a person with a browser does who is asked nothing.
fn log_in(test: &Test) -> Login {
    log_in_after(test, |_| {})
}

/// The same, after something has been done with the address to open.
fn log_in_after(test: &Test, before: impl FnOnce(&str)) -> Login {
    let mut command = test.command(&["auth", "login", "docs", "--no-browser"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut said = String::new();
    let mut line = String::new();
    while stderr.read_line(&mut line).is_ok_and(|length| length > 0) {
        if line.starts_with("http://") {
            before(line.trim());
            browse(line.trim());
            // The address holds no token, but the state of the login.
            line.clear();
            break;
        }
        said += &std::mem::take(&mut line);
    }
    stderr.read_to_string(&mut said).expect("UTF-8");
    let mut stdout = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut stdout).expect("UTF-8");
    assert_eq!(stdout, "", "standard output is for data");
    Login { code: child.wait().expect("it ends").code().unwrap_or(-1), said }
}

fn beside_a_good_one(guarded: &Guarded, auth: &str) -> Test {
    Test::new().registry(&guarded.entry(auth)).server("good", fixture(["healthy"]))
}

fn assert_holds_no_secret(text: &str) {
    for secret in ["secret-token", "secret-refresh", "secret-code", "client-secret"] {
        assert!(!text.contains(secret), "{secret} is shown: {text}");
    }
}

/// Every file in the folder of tokens, but no locks.
fn kept(test: &Test) -> Vec<std::path::PathBuf> {
    let folder = test.home().join(".local/state/mcp-orchestrator/oauth");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

#[test]
fn a_server_is_of_use_once_somebody_has_logged_in_and_the_others_all_the_time() {
    let guarded = Guarded::start(Rules::Good);
    let test = beside_a_good_one(&guarded, "\"oauth\"");
    let other = Test::new().registry(&guarded.entry("\"oauth\""));
    let home = test.home().to_string_lossy().into_owned();
    let logins = other.env("HOME", &home);
    let mut host = test.env("MCP_ORCHESTRATOR_LOG", "debug,rmcp=off").start();
    host.ready(&["good"]);
    let told = host.failure("docs__read", json!({}));
    assert!(told.contains("MO5109") && told.contains("mcp-orchestrator auth login docs"), "{told}");
    assert_eq!(guarded.visits("/register"), 0, "nobody has asked for that");
    let status = logins.run(&["auth", "status"]);
    assert!(status.stdout.contains("docs  not logged in"), "{}", status.stdout);

    let login = log_in(&logins);
    assert_eq!(login.code, 0, "{}", login.said);
    host.ready(&["docs"]);
    assert_eq!(host.call("docs__read", json!({}))["content"][0]["text"], "let in");
    let form = &guarded.asked("authorization_code")[0];
    assert_eq!(form["resource"], format!("http://127.0.0.1:{}/mcp", guarded.port));
    assert!(form["code_verifier"].len() >= 43, "PKCE");

    let status = logins.run(&["auth", "status", "-o", "json"]).json();
    assert_eq!((&status[0]["authorized"], &status[0]["scopes"]), (&json!(true), &json!(["read"])), "{status}");
    for text in [&host.stderr(), &login.said, &status.to_string(), &told] {
        assert_holds_no_secret(text);
    }
    assert_eq!(logins.run(&["auth", "logout", "docs"]).code, 0);
    let told = host.failure("docs__read", json!({}));
    assert!(told.contains("auth login docs"), "a logout counts at once: {told}");
}

#[cfg(unix)]
#[test]
fn tokens_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let guarded = Guarded::start(Rules::Good);
    let test = beside_a_good_one(&guarded, "\"oauth\"");
    assert_eq!(log_in(&test).code, 0);
    let files = kept(&test);
    assert_eq!(files.len(), 1, "{files:?}");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&files[0]), 0o600);
    assert_eq!(mode(files[0].parent().expect("a folder")), 0o700);
    test.run(&["auth", "logout", "docs"]);
    assert!(kept(&test).is_empty());
}

#[test]
fn a_token_that_ends_is_refreshed_once_however_many_calls_need_it() {
    let guarded = Guarded::start(Rules::EndsSoon);
    let test = beside_a_good_one(&guarded, "\"oauth\"");
    assert_eq!(log_in(&test).code, 0);
    let mut host = test.start();
    host.ready(&["docs"]);
    assert_eq!(guarded.asked("refresh_token").len(), 1, "before it is used");
    guarded.forget_tokens();
    let ids: Vec<_> = (0..8).map(|_| host.send_call("docs__read", json!({}))).collect();
    for id in ids {
        assert_eq!(host.answer(id)["result"]["content"][0]["text"], "let in");
    }
    assert_eq!(guarded.asked("refresh_token").len(), 2, "once for all of them");
}

#[test]
fn who_can_not_be_refreshed_is_to_log_in_again() {
    let guarded = Guarded::start(Rules::EndsForGood);
    let test = beside_a_good_one(&guarded, "\"oauth\"");
    assert_eq!(log_in(&test).code, 0);
    let mut host = test.start();
    host.ready(&["good"]);
    guarded.forget_tokens();
    let told = host.failure("docs__read", json!({}));
    assert!(told.contains("auth login docs"), "{told}");
    assert_holds_no_secret(&(told + &host.stderr()));
}

#[test]
fn further_scopes_are_asked_for_at_the_next_login_together_with_those_before() {
    let guarded = Guarded::start(Rules::Good);
    let test = beside_a_good_one(&guarded, "\"oauth\"");
    assert_eq!(log_in(&test).code, 0);
    let home = test.home().to_string_lossy().into_owned();
    let logins = Test::new().registry(&guarded.entry("\"oauth\"")).env("HOME", &home);
    let mut host = test.start();
    host.ready(&["docs"]);
    let told = host.failure("docs__write", json!({}));
    assert!(told.contains("further scopes are needed: write") && told.contains("auth login docs"), "{told}");
    let status = logins.run(&["auth", "status"]).stdout;
    assert!(status.contains("it demands write, too"), "{status}");
    assert_eq!(log_in(&logins).code, 0);
    assert_eq!(host.call("docs__write", json!({}))["content"][0]["text"], "let in");
    let status = logins.run(&["auth", "status", "-o", "json"]).json();
    assert_eq!(status[0]["scopes"], json!(["read", "write"]), "{status}");
}

#[test]
fn a_program_with_credentials_of_its_own_needs_nobody() {
    let guarded = Guarded::start(Rules::Good);
    let auth = "{ oauth = { grant = \"client_credentials\", client_id = \"us\", client_secret = \"${DOCS_SECRET}\" } }";
    let mut host = beside_a_good_one(&guarded, auth).env("DOCS_SECRET", "client-secret").start();
    host.ready(&["docs"]);
    assert_eq!(host.call("docs__read", json!({}))["content"][0]["text"], "let in");
    assert_eq!(host.call("docs__write", json!({}))["content"][0]["text"], "let in", "by a wider token");
    let asked = guarded.asked("client_credentials");
    assert_eq!(asked.iter().map(|form| form["scope"].as_str()).collect::<Vec<_>>(), ["read", "read write"]);
    assert_holds_no_secret(&host.stderr());
}

#[test]
fn a_server_that_is_never_content_is_not_asked_for_ever() {
    let guarded = Guarded::start(Rules::NeverContent);
    let auth = "{ oauth = { grant = \"client_credentials\", client_id = \"us\", client_secret = \"client-secret\" } }";
    let mut host = beside_a_good_one(&guarded, auth).start();
    host.ready(&["docs"]);
    for _ in 0..3 {
        let told = host.failure("docs__write", json!({}));
        assert!(told.contains("403"), "{told}");
    }
    assert_eq!(guarded.asked("client_credentials").len(), 2, "one token, and one that is wider");
}

#[test]
fn who_answers_in_the_name_of_another_gets_no_code() {
    let guarded = Guarded::start(Rules::WrongIssuer);
    let test = beside_a_good_one(&guarded, "\"oauth\"");
    let login = log_in(&test);
    assert_eq!(login.code, 3, "{}", login.said);
    assert!(login.said.contains("MO5113") && login.said.contains("issuer"), "{}", login.said);
    assert_eq!(guarded.visits("/token"), 0);
    assert!(kept(&test).is_empty());
    assert_holds_no_secret(&login.said);
}

#[test]
fn who_does_not_know_the_state_does_not_end_a_login() {
    let guarded = Guarded::start(Rules::Good);
    let test = beside_a_good_one(&guarded, "\"oauth\"");
    let login = log_in_after(&test, |page| {
        let back = parameters(page.split_once('?').expect("a query").1)["redirect_uri"].clone();
        assert!(browse(&format!("{back}?code=theirs&state=theirs")).contains("404"));
        assert!(browse(&format!("{back}?error=access_denied")).contains("404"));
    });
    assert_eq!(login.code, 0, "{}", login.said);
}

#[test]
fn metadata_that_lead_elsewhere_are_not_followed() {
    for rules in [Rules::AnotherResource, Rules::OpenEndpoint] {
        let guarded = Guarded::start(rules);
        let test = beside_a_good_one(&guarded, "\"oauth\"");
        let login = log_in(&test);
        assert_eq!(login.code, 3, "{}", login.said);
        assert!(login.said.contains("MO5113"), "{}", login.said);
        assert_eq!((guarded.visits("/authorize"), guarded.visits("/register")), (0, 0), "{rules:?}");
    }
}

#[test]
fn a_token_is_not_sent_in_the_open() {
    let entry = "[servers.docs]\nurl = \"http://docs.example/mcp\"\nauth = \"oauth\"\n";
    let done = Test::new().registry(entry).run(&["check"]);
    assert_eq!(done.code, 2);
    let said = done.stdout + &done.stderr;
    assert!(said.contains("MO1007") && said.contains("https://"), "{said}");
}

#[test]
fn where_nobody_logs_in_the_registry_is_named() {
    let done = Test::new().server("good", fixture(["healthy"])).run(&["auth", "login", "good"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("auth = \"oauth\""), "{}", done.stderr);
    let done = Test::new().server("good", fixture(["healthy"])).run(&["auth", "logout", "goof"]);
    assert!(done.stderr.contains("good"), "{}", done.stderr);
}

#[test]
fn what_an_interceptor_authorizes_a_call_by_goes_in_place_of_the_programs_own_token() {
    let guarded = Guarded::start(Rules::Good);
    let rule = "[[interceptors]]\nname = \"as\"\ntools = [\"docs.read\"]\nset_headers = { authorization = \"Bearer ${call.arguments.as}\" }\n";
    let test = Test::new().registry(&format!("{}{rule}", guarded.entry("\"oauth\"")));
    assert_eq!(log_in(&test).code, 0);
    let mut host = test.start();
    host.ready(&["docs"]);
    let told = host.failure("docs__read", json!({ "as": "nobody" }));
    assert!(told.contains("MO5109"), "{told}");
    assert!(guarded.asked("refresh_token").is_empty(), "it is not the program's token that was refused");
    guarded.admit("somebody");
    assert_eq!(host.call("docs__read", json!({ "as": "somebody" }))["content"][0]["text"], "let in");
}

//! HTTP servers that misbehave: a call fails in time, with the server's name and the cause, and harms nobody else.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::web::{Manner, Web};
use crate::support::web_faults::Wrong;
use crate::support::{DEADLINE, Host, Test, eventually, fixture};

/// How much the program may grow, in bytes, whatever a server sends.
const GROWTH: u64 = 128 << 20;

/// Longer than the time limits of `Web::entry` together, and a little for a busy machine.
const IN_TIME: Duration = Duration::from_secs(6);

/// A host of these servers and of a healthy one over stdio.
fn beside_a_good_one(registry: &str) -> Host {
    let mut host = Test::new().registry(registry).server("good", fixture(["healthy"])).start();
    host.ready(&["good"]);
    host
}

fn still_works(host: &mut Host) {
    let began = Instant::now();
    assert_eq!(host.value("good__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    assert!(began.elapsed() < Duration::from_secs(2), "the good one took {:?}", began.elapsed());
}

/// The entry of a server that nobody waits for.
fn entry(name: &str, url: &str) -> String {
    format!("[servers.{name}]\nurl = \"{url}\"\nconnect_timeout = \"2s\"\ntimeout = \"1s\"\nretry = 1\n")
}

/// C09, C10, C12-C14, C21, C22, C24: every way to answer a call wrongly, and what the caller is told.
#[test]
fn a_call_that_is_answered_wrongly_fails_in_time_with_the_cause_and_is_not_repeated() {
    let wrongs = [
        ("resets", Wrong::Resets, "connection"),
        ("breaks", Wrong::ResetsStream, "broke off"),
        ("silent", Wrong::Silence, "did not answer within 2 s"),
        ("empty", Wrong::HeadersOnly, "did not answer within 2 s"),
        ("slow", Wrong::Drips, "did not answer within 2 s"),
        ("cut", Wrong::CutJson, "not JSON"),
        ("short", Wrong::ShortBody, "broke off"),
        ("alive", Wrong::OnlyKeepsAlive, "did not answer within 2 s"),
    ];
    let webs: Vec<_> = wrongs.iter().map(|(name, wrong, _)| (*name, Web::start(Manner::Calls(*wrong)))).collect();
    let registry: String = webs.iter().map(|(name, web)| web.entry(name)).collect();
    let mut host = beside_a_good_one(&registry);
    let names: Vec<_> = webs.iter().map(|(name, _)| *name).collect();
    host.ready(&names);
    let began = Instant::now();
    let ids: Vec<_> = names.iter().map(|name| host.send_call(&format!("{name}__echo"), json!({}))).collect();
    still_works(&mut host);
    for (((name, wrong, cause), id), (_, web)) in wrongs.into_iter().zip(ids).zip(&webs) {
        let result = host.answer(id)["result"].clone();
        let told = crate::support::host::text(&result);
        assert!(result["isError"] == true && told.contains(name) && told.contains(cause), "{wrong:?}: {result}");
        assert_eq!(web.calls(), 1, "{wrong:?}: a write was repeated");
    }
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
}

/// C01-C06, C11, C15-C20, C29: every way to be of no use at all, and what the caller is told.
#[test]
fn a_server_that_is_of_no_use_is_named_with_the_cause() {
    let statuses = [401, 403, 404, 429, 500, 502].map(|status| (status, Web::start(Manner::Status(status))));
    let [silent, mute, page, round] =
        [Manner::Silent, Manner::MuteAtFirst, Manner::Page, Manner::RedirectsToItself].map(Web::start);
    // The kernel takes connections, and nobody takes them from it.
    let asleep = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    let asleep_at = asleep.local_addr().expect("it is bound");
    let at = |web: &Web| format!("http://127.0.0.1:{}/mcp", web.port);
    let mut cases: Vec<_> =
        statuses.iter().map(|(status, web)| (format!("status{status}"), at(web), status.to_string())).collect();
    cases.extend(
        [
            ("silent", at(&silent), "did not answer"),
            ("mute", at(&mute), "did not answer"),
            ("asleep", format!("http://{asleep_at}/mcp"), "did not answer"),
            ("page", at(&page), "text/html"),
            ("round", at(&round), "307"),
            ("closed", "http://127.0.0.1:1/mcp".to_owned(), "refused"),
            ("unknown", "http://does-not-exist.invalid/mcp".to_owned(), "dns"),
            ("plain", format!("https://127.0.0.1:{}/mcp", page.port), "tls"),
        ]
        .map(|(name, url, cause)| (name.to_owned(), url, cause.to_owned())),
    );
    let registry: String = cases.iter().map(|(name, url, _)| entry(name, url)).collect();
    let mut host = beside_a_good_one(&registry);
    let began = Instant::now();
    let ids: Vec<_> = cases.iter().map(|(name, ..)| host.send_call(&format!("{name}__echo"), json!({}))).collect();
    still_works(&mut host);
    let mut wrong = Vec::new();
    for ((name, _, cause), id) in cases.iter().zip(ids) {
        let answer = host.answer(id);
        let told = crate::support::host::text(&answer["result"]).to_lowercase();
        if answer["result"]["isError"] != true || !told.contains(name.as_str()) || !told.contains(cause.as_str()) {
            wrong.push(format!("{name} ({cause}): {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    assert!(round.arrived().len() < 50, "a redirect was followed {} times", round.arrived().len());
}

/// C31.
#[test]
fn an_address_that_is_not_of_http_is_refused_with_the_reason_and_the_others_are_served() {
    let mut host = beside_a_good_one(&entry("file", "file:///etc/hostname"));
    assert!(host.says("file:///etc/hostname") && host.says("http"), "{}", host.stderr());
    still_works(&mut host);
}

/// C23.
#[test]
fn a_hundred_megabytes_of_answer_are_bounded_and_harm_nobody() {
    for wrong in [Wrong::Huge, Wrong::HugeEvent] {
        let web = Web::start(Manner::Calls(wrong));
        let registry = web.entry("web").replace("timeout = \"2s\"", "timeout = \"15s\"");
        let mut host = beside_a_good_one(&registry);
        host.ready(&["web"]);
        let before = host.peak_memory();
        let id = host.send_call("web__echo", json!({}));
        still_works(&mut host);
        let answer = host.answer(id);
        let told = crate::support::host::text(&answer["result"]);
        assert!(told.contains("web") && told.contains("longer"), "{wrong:?}: {answer}");
        let growth = host.peak_memory() - before;
        assert!(growth <= GROWTH, "{wrong:?}: it grew by {} MB", growth >> 20);
        still_works(&mut host);
    }
}

/// C25, C33: the second one also must not reach the host as many lines.
#[test]
fn events_that_mean_nothing_or_have_many_lines_do_not_matter() {
    for wrong in [Wrong::GarbageFirst, Wrong::ManyLines] {
        let web = Web::start(Manner::Calls(wrong));
        let mut host = beside_a_good_one(&web.entry("web"));
        host.ready(&["web"]);
        for n in 0..3 {
            assert_eq!(host.value("web__echo", json!({ "n": n })), json!({ "given": { "n": n } }), "{wrong:?}");
        }
    }
}

/// Calls until it works again.
fn heals(host: &mut Host) {
    let mut last = Value::Null;
    let is_healed = eventually(DEADLINE, || {
        last = host.call("web__echo", json!({ "n": 1 }));
        last["structuredContent"] == json!({ "given": { "n": 1 } })
    });
    assert!(is_healed, "it does not work again: {last}\n{}", host.stderr());
}

/// C27.
#[test]
fn a_server_that_is_started_again_at_its_address_heals() {
    // An address of its own, so that nobody takes the port in between.
    let web = Web::start_at("127.0.0.27:0", Manner::Legacy);
    let (mut host, port) = (beside_a_good_one(&web.entry("web")), web.port);
    host.ready(&["web"]);
    heals(&mut host);
    web.stop();
    let began = Instant::now();
    let told = host.failure("web__echo", json!({}));
    assert!(told.contains("web") && began.elapsed() < IN_TIME, "{told} after {:?}", began.elapsed());
    let again = Web::start_at(&format!("127.0.0.27:{port}"), Manner::Legacy);
    heals(&mut host);
    assert!(again.calls() > 0);
}

/// C28.
#[test]
fn a_server_that_is_not_there_at_first_is_listed_when_it_comes() {
    let web = Web::start_at("127.0.0.28:0", Manner::Legacy);
    let (registry, port) = (web.entry("web"), web.port);
    web.stop();
    let mut host = beside_a_good_one(&registry);
    let told = host.failure("web__echo", json!({}));
    assert!(told.contains("web") && told.contains("refused"), "{told}");
    let _web = Web::start_at(&format!("127.0.0.28:{port}"), Manner::Legacy);
    host.ready(&["web"]);
    heals(&mut host);
}

/// S41.
#[test]
fn where_a_server_sends_us_for_credentials_we_do_not_go() {
    let elsewhere = Web::start(Manner::Legacy);
    let web = Web::start(Manner::Challenges(elsewhere.port));
    let mut host = beside_a_good_one(&web.entry("web"));
    let told = host.failure("web__echo", json!({}));
    assert!(told.contains("web") && told.contains("authorization required"), "{told}");
    assert!(elsewhere.arrived().is_empty(), "{:?}", elsewhere.arrived());
    let asked: Vec<_> = web.arrived().into_iter().map(|request| request.path).collect();
    assert!(asked.iter().all(|path| path == "/mcp"), "nothing else was asked for: {asked:?}");
}

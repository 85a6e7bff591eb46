//! Attacks on the HTTP face that need more than a wrong header: what they cost, and what they do not get.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::face::{Face, initialize, request};
use crate::support::web::{Manner, Web};
use crate::support::{DEADLINE, Test, eventually};

/// How much the program may grow, in bytes, whatever is sent to it.
const GROWTH: u64 = 128 << 20;

/// S06.
#[test]
fn a_loopback_address_is_all_that_is_listened_to() {
    let face = Face::open();
    let port = face.address.rsplit_once(':').expect("a port").1.to_owned();
    assert_eq!(face.post(&[], &initialize()).status, 200);
    // Whatever listens to all addresses listens to this one too.
    let other = TcpStream::connect(format!("127.0.0.2:{port}"));
    assert!(other.is_err(), "it listens to more than it was told to");
}

/// S08.
#[test]
fn sixty_four_megabytes_of_body_are_refused_and_cost_nothing() {
    let face = Face::open();
    face.post(&[], &initialize());
    let before = face.peak_memory();
    for head in ["Content-Length: 67108864", "Transfer-Encoding: chunked"] {
        let mut stream = TcpStream::connect(&face.address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let head =
            format!("POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{head}\r\n\r\n", face.address);
        stream.write_all(head.as_bytes()).expect("it reads");
        let block = vec![b'x'; 1 << 20];
        let chunk = [b"100000\r\n".as_slice(), &block, b"\r\n"].concat();
        let part = if head.contains("chunked") { &chunk } else { &block };
        for _ in 0..64 {
            // Whoever has heard enough need not listen to the rest.
            if stream.write_all(part).is_err() {
                break;
            }
        }
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("the refusal arrives");
        assert_eq!(&answer, b"HTTP/1.1 413");
    }
    assert_eq!(face.post(&[], &initialize()).status, 200);
    let growth = face.peak_memory() - before;
    assert!(growth <= GROWTH, "it grew by {} MB", growth >> 20);
}

/// S09.
#[test]
fn two_hundred_connections_that_never_finish_their_headers_hold_up_nobody_and_are_closed() {
    let face = Face::open();
    let began = Instant::now();
    let head = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";
    let mut slow: Vec<_> = (0..200).map(|_| TcpStream::connect(&face.address).expect("it listens")).collect();
    let mut sent = 0;
    let is_closed = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a socket");
        let mut rest = [0; 4096];
        // Either a refusal and the end, or the end alone.
        match stream.read(&mut rest) {
            Ok(count) => count == 0,
            Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
    };
    let are_closed = eventually(DEADLINE, || {
        let byte = head.get(sent).copied().unwrap_or(b'x');
        sent += 1;
        for stream in &mut slow {
            // Fails once it has been closed, which is what is waited for.
            let _ = stream.write_all(&[byte]);
        }
        let asked = Instant::now();
        assert_eq!(face.post(&[], &initialize()).status, 200);
        assert!(asked.elapsed() < Duration::from_secs(1), "another host waited for {:?}", asked.elapsed());
        // Nobody is sent away before it is sure that nothing comes.
        began.elapsed() > Duration::from_secs(5) && slow.iter_mut().all(is_closed)
    });
    assert!(are_closed, "they are still open after {:?}", began.elapsed());
}

/// S10.
#[test]
fn sessions_have_long_random_names_that_nobody_guesses() {
    let face = Face::open();
    let names: HashSet<_> = (0..50).map(|_| face.initialize()).collect();
    assert_eq!(names.len(), 50, "each session has its own");
    let call = request("tools/list", json!({}));
    for name in &names {
        let digits: Vec<_> = name.chars().filter(char::is_ascii_hexdigit).collect();
        assert!(digits.len() >= 32, "{name} has fewer than 128 bits");
        assert_eq!(face.post(&[("Mcp-Session-Id", name)], &call).status, 200);
        // The next one to it, as somebody would try who has seen one.
        let last = if name.ends_with('0') { '1' } else { '0' };
        let guess = format!("{}{last}", &name[..name.len() - 1]);
        assert_eq!(face.post(&[("Mcp-Session-Id", &guess)], &call).status, 404);
    }
    // What two of them have in common beside their form is chance.
    for place in 0..36 {
        let seen: HashSet<_> = names.iter().map(|name| name.as_bytes()[place]).collect();
        let is_form = matches!(place, 8 | 13 | 14 | 18 | 23) || (place == 19 && seen.len() > 1);
        assert!(is_form || seen.len() > 4, "character {place} of a session's name is predictable");
    }
}

/// S11.
#[test]
fn what_a_host_shows_us_is_shown_to_no_server() {
    let web = Web::start(Manner::Legacy);
    let entry = format!("{}headers = {{ X-Configured = \"sesame\" }}\n", web.entry("web"));
    let face = Face::of(Test::new().registry(&entry), &[]);
    let bearer = format!("Bearer {}", face.token.clone().expect("it was made"));
    let shown = [("Authorization", bearer.as_str()), ("Cookie", "crumb=1"), ("X-Api-Key", "hunter2")];
    let opened = face.post(&shown, &initialize());
    let session = opened.header("mcp-session-id").expect("a session").to_owned();
    let headers = [shown.as_slice(), &[("Mcp-Session-Id", session.as_str())]].concat();
    let call = request("tools/call", json!({ "name": "web__echo", "arguments": { "n": 1 } }));
    assert_eq!(face.post(&headers, &call).json()["result"]["structuredContent"], json!({ "given": { "n": 1 } }));
    let arrived = web.arrived();
    assert!(arrived.iter().any(|request| request.body["method"] == "tools/call"));
    for request in arrived {
        let headers = &request.headers;
        assert!(headers.contains("x-configured: sesame"), "what is configured arrives: {headers}");
        for leaked in
            ["authorization", "cookie", "x-api-key", "hunter2", bearer.trim_start_matches("Bearer "), &session]
        {
            assert!(!headers.contains(leaked), "{leaked} was passed on: {headers}");
        }
    }
}

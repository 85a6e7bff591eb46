//! An MCP server over HTTP that lets nobody in without a token, and the authorization server that it trusts, at one port.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::web::{read, respond};

/// How the two behave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Rules {
    /// As they should.
    #[default]
    Good,
    /// The first token of a login ends in a second; those after it in an hour.
    EndsSoon,
    /// The same, but there is no other: refresh tokens are refused.
    EndsForGood,
    /// The browser is sent back with another authorization server's name.
    WrongIssuer,
    /// The server's metadata are those of another server.
    AnotherResource,
    /// The token endpoint is at an address without encryption, elsewhere.
    OpenEndpoint,
    /// Every token lacks what writing needs.
    NeverContent,
}

/// Both servers; their thread ends with the test process.
pub(crate) struct Guarded {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rules: Rules,
    port: u16,
    /// The scopes of each token that is good.
    tokens: HashMap<String, String>,
    /// The scopes that the codes stand for.
    codes: HashMap<String, String>,
    issued: usize,
    /// The forms that the token endpoint was sent.
    asked: Vec<HashMap<String, String>>,
    paths: Vec<String>,
}

impl Guarded {
    pub(crate) fn start(rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(Mutex::new(State { rules, port, ..State::default() }));
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&serving);
                std::thread::spawn(move || while serve(&state, &stream).is_some() {});
            }
        });
        Self { port, state }
    }

    /// Its registry entry as `docs`, with this for `auth`.
    pub(crate) fn entry(&self, auth: &str) -> String {
        format!("[servers.docs]\nurl = \"http://127.0.0.1:{}/mcp\"\nretry = 1\nauth = {auth}\n", self.port)
    }

    /// What the token endpoint was asked for, by the kind of grant.
    pub(crate) fn asked(&self, grant: &str) -> Vec<HashMap<String, String>> {
        self.lock().asked.iter().filter(|form| form["grant_type"] == grant).cloned().collect()
    }

    /// How often `path` was asked for.
    pub(crate) fn visits(&self, path: &str) -> usize {
        self.lock().paths.iter().filter(|visited| visited.split('?').next() == Some(path)).count()
    }

    /// Lets whoever has this token read.
    pub(crate) fn admit(&self, token: &str) {
        self.lock().tokens.insert(token.to_owned(), "read".to_owned());
    }

    /// Every token that was given out is refused from now on.
    pub(crate) fn forget_tokens(&self) {
        self.lock().tokens.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(state: &Mutex<State>, stream: &TcpStream) -> Option<()> {
    let (verb, path, headers, body) = read(stream)?;
    let (status, extra, answer) =
        state.lock().unwrap_or_else(PoisonError::into_inner).answer(&verb, &path, &headers, &body);
    respond(stream, status, &extra, "application/json", &answer)
}

type Answer = (u16, String, String);

fn ok(value: Value) -> Answer {
    (200, String::new(), value.to_string())
}

impl State {
    fn answer(&mut self, verb: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        self.paths.push(path.to_owned());
        let place = path.split('?').next().unwrap_or_default();
        match (verb, place) {
            ("POST", "/mcp") => self.mcp(headers, body),
            ("GET", "/.well-known/oauth-protected-resource/mcp") => self.about_resource(),
            ("GET", "/.well-known/oauth-authorization-server") => self.about_authority(),
            ("POST", "/register") => ok(json!({ "client_id": "registered", "redirect_uris": [] })),
            ("GET", "/authorize") => self.authorize(path),
            ("POST", "/token") => self.token(&parameters(&String::from_utf8_lossy(body))),
            _ => (404, String::new(), "{}".to_owned()),
        }
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn about_resource(&self) -> Answer {
        let origin = self.origin();
        let resource = if self.rules == Rules::AnotherResource {
            "https://elsewhere.example/mcp"
        } else {
            &format!("{origin}/mcp")
        };
        ok(json!({ "resource": resource, "authorization_servers": [origin] }))
    }

    fn about_authority(&self) -> Answer {
        let origin = self.origin();
        let token = if self.rules == Rules::OpenEndpoint { "http://elsewhere.example" } else { &origin };
        ok(json!({
            "issuer": origin, "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{token}/token"), "registration_endpoint": format!("{origin}/register"),
            "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
        }))
    }

    fn authorize(&mut self, path: &str) -> Answer {
        let asked = parameters(path.split_once('?').map_or("", |(_, query)| query));
        assert_eq!(asked["code_challenge_method"], "S256");
        let code = format!("secret-code-{}", self.codes.len());
        self.codes.insert(code.clone(), asked.get("scope").cloned().unwrap_or_default());
        let issuer =
            if self.rules == Rules::WrongIssuer { "https://elsewhere.example".to_owned() } else { self.origin() };
        let back = format!("{}?code={code}&state={}&iss={issuer}", asked["redirect_uri"], asked["state"]);
        (302, format!("Location: {back}\r\n"), String::new())
    }

    fn token(&mut self, form: &HashMap<String, String>) -> Answer {
        self.asked.push(form.clone());
        let refused = (400, String::new(), json!({ "error": "invalid_grant" }).to_string());
        let scope = match form["grant_type"].as_str() {
            "authorization_code" if form.contains_key("code_verifier") => self.codes.remove(&form["code"]),
            "refresh_token" if self.rules != Rules::EndsForGood && form["refresh_token"] == self.current_refresh() => {
                Some("read".to_owned())
            }
            "client_credentials" if form["client_secret"] == "client-secret" => form.get("scope").cloned(),
            _ => None,
        };
        let Some(scope) = scope else { return refused };
        self.issued += 1;
        let token = format!("secret-token-{}", self.issued);
        self.tokens.insert(token.clone(), scope.clone());
        let ends_soon = matches!(self.rules, Rules::EndsSoon | Rules::EndsForGood) && self.issued == 1;
        let lifetime = if ends_soon { 1 } else { 3600 };
        let mut answer =
            json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": scope });
        if form["grant_type"] != "client_credentials" {
            answer["refresh_token"] = json!(self.current_refresh());
        }
        ok(answer)
    }

    /// Each is good for one use.
    fn current_refresh(&self) -> String {
        format!("secret-refresh-{}", self.issued)
    }

    fn mcp(&self, headers: &str, body: &[u8]) -> Answer {
        let challenge = |status: u16, more: &str| {
            let place = format!("{}/.well-known/oauth-protected-resource/mcp", self.origin());
            (status, format!("WWW-Authenticate: Bearer resource_metadata=\"{place}\", {more}\r\n"), "{}".to_owned())
        };
        let given: Vec<_> = headers.lines().filter_map(|line| line.strip_prefix("authorization: Bearer ")).collect();
        // Who says to be two at once is nobody.
        let [token] = given[..] else { return challenge(401, "scope=\"read\"") };
        let Some(scope) = self.tokens.get(token) else { return challenge(401, "scope=\"read\"") };
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let writes = body["params"]["name"] == "write";
        let may_write = scope.split(' ').any(|scope| scope == "write") && self.rules != Rules::NeverContent;
        if writes && !may_write {
            return challenge(403, "error=\"insufficient_scope\", scope=\"write\"");
        }
        let result = match body["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                "serverInfo": { "name": "guarded", "version": "1.0.0" },
            }),
            "tools/list" => {
                let tool = |name: &str| json!({ "name": name, "inputSchema": { "type": "object" } });
                json!({ "tools": [tool("read"), tool("write")] })
            }
            "tools/call" => json!({ "content": [{ "type": "text", "text": "let in" }] }),
            "ping" => json!({}),
            _ if body["id"].is_null() => return (202, String::new(), String::new()),
            _ => {
                let error = json!({ "code": -32601, "message": "Method not found" });
                return ok(json!({ "jsonrpc": "2.0", "id": body["id"], "error": error }));
            }
        };
        ok(json!({ "jsonrpc": "2.0", "id": body["id"], "result": result }))
    }
}

/// The pairs of a form or a query, decoded.
pub(crate) fn parameters(text: &str) -> HashMap<String, String> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// What a browser does: asks for `address`, and follows where it is sent; says what the last page says.
pub(crate) fn browse(address: &str) -> String {
    let rest = address.strip_prefix("http://").expect("a loopback address");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("something listens");
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it listens");
    stream.shutdown(std::net::Shutdown::Write).expect("it is open");
    let mut page = Vec::new();
    // The rest of a page does not matter.
    let _ = stream.read_to_end(&mut page);
    let page = String::from_utf8_lossy(&page).into_owned();
    match page.lines().find_map(|line| line.strip_prefix("Location: ")) {
        Some(next) => browse(next.trim()),
        None => page,
    }
}

//! Who may talk to us over HTTP: the right `Host`, no foreign `Origin`, the bearer token.
//!
//! A web page can reach a server on loopback by a name that it controls (DNS rebinding), so both names are always checked.

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, StatusCode};

use crate::model::secret::Secret;

/// The names by which this machine is reached from itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What is demanded of every request.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The token; nothing is demanded without one.
    pub token: Option<Secret<String>>,
    /// Further names of this server, for `Host`.
    pub hosts: Vec<String>,
    /// Web pages that may use it, as `https://app.example.com`.
    pub origins: Vec<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It names a server that we are not.
    Host,
    /// It comes from a web page that may not use us.
    Origin,
    /// It has no token, or a wrong one.
    Token,
}

impl Denied {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::Origin => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
        }
    }

    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Host => "the Host header names a server that this is not; see --allow-host",
            Self::Origin => "web pages of this origin may not use this server; see --allow-origin",
            Self::Token => "send the bearer token: Authorization: Bearer TOKEN",
        }
    }
}

impl Policy {
    /// Judges a request by its headers.
    pub fn judge(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        if !text(HOST).is_some_and(|host| self.is_ours(without_port(host))) {
            return Err(Denied::Host);
        }
        if let Some(origin) = text(ORIGIN)
            && !self.origins.iter().any(|allowed| allowed == origin)
        {
            let host = origin.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
            if !host.is_some_and(|(_, host)| self.is_ours(without_port(host))) {
                return Err(Denied::Origin);
            }
        }
        match &self.token {
            Some(token) if !text(AUTHORIZATION).is_some_and(|given| bears(given, token.expose())) => Err(Denied::Token),
            _ => Ok(()),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        LOOPBACK.contains(&host) || self.hosts.iter().any(|ours| ours == host)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether `given` is `Bearer token`, in a time that does not tell how much of it is right.
fn bears(given: &str, token: &str) -> bool {
    let Some(given) = given.strip_prefix("Bearer ").or_else(|| given.strip_prefix("bearer ")) else { return false };
    given.len() == token.len() && given.bytes().zip(token.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn judged(policy: &Policy, headers: &[(http::HeaderName, &str)]) -> Result<(), Denied> {
        let value = |text: &str| HeaderValue::from_str(text).expect("a header");
        policy.judge(&headers.iter().map(|(name, text)| (name.clone(), value(text))).collect())
    }

    #[test]
    fn only_this_machine_is_let_in_by_name() {
        let policy = Policy { hosts: vec!["mcp.example.com".to_owned()], ..Policy::default() };
        for good in ["127.0.0.1:80", "localhost", "[::1]:9", "mcp.example.com"] {
            assert_eq!(judged(&policy, &[(HOST, good)]), Ok(()), "{good}");
        }
        for rebound in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"] {
            assert_eq!(judged(&policy, &[(HOST, rebound)]), Err(Denied::Host), "{rebound}");
        }
        assert_eq!(judged(&policy, &[]), Err(Denied::Host));
    }

    #[test]
    fn foreign_web_pages_are_kept_out() {
        let policy = Policy { origins: vec!["https://app.example.com".to_owned()], ..Policy::default() };
        for good in ["http://localhost:3000", "http://127.0.0.1", "https://app.example.com"] {
            assert_eq!(judged(&policy, &[(HOST, "localhost"), (ORIGIN, good)]), Ok(()), "{good}");
        }
        for foreign in
            ["https://evil.example", "null", "http://localhost.evil.example", "https://app.example.com.evil.example"]
        {
            assert_eq!(judged(&policy, &[(HOST, "localhost"), (ORIGIN, foreign)]), Err(Denied::Origin), "{foreign}");
        }
    }

    #[test]
    fn the_token_must_be_right() {
        let policy = Policy { token: Some(Secret::new("sesame".to_owned())), ..Policy::default() };
        assert_eq!(judged(&policy, &[(HOST, "localhost"), (AUTHORIZATION, "Bearer sesame")]), Ok(()));
        for wrong in ["Bearer sesamo", "Bearer ", "sesame", "Bearer sesame2", "Basic sesame"] {
            assert_eq!(judged(&policy, &[(HOST, "localhost"), (AUTHORIZATION, wrong)]), Err(Denied::Token), "{wrong}");
        }
        assert_eq!(judged(&policy, &[(HOST, "localhost")]), Err(Denied::Token));
    }
}

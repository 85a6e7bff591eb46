//! How the program shows a server who it is, by OAuth 2.1: `auth = "oauth"`, or a table with the details.

use crate::document::node::{Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::registry::launch::text;
use crate::registry::settings;
use crate::registry::text::Text;

/// What the registry says about a server's authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oauth {
    /// The scopes to ask for; without any, those that the server names.
    pub scopes: Vec<String>,
    /// On whose behalf.
    pub grant: Grant,
}

/// On whose behalf the program acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// That of a person, who logs in once.
    Code {
        /// What the program is known as.
        client: Client,
        /// The loopback port that the browser comes back to; without one, any that is free.
        redirect_port: Option<u16>,
    },
    /// Its own.
    ClientCredentials {
        /// What the program is known as.
        id: Text,
        /// What proves it.
        proof: Proof,
    },
}

/// What the program is known as at the authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Client {
    /// What it was given there by hand.
    Known {
        /// The client id.
        id: Text,
        /// The client secret, which some servers want from programs, too.
        secret: Option<Text>,
    },
    /// The address of a document that describes it; where that is not known, it registers itself.
    Described(String),
    /// What it is given when it registers itself.
    Registered,
}

/// What proves that the program is who it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A secret that both know.
    Secret(Text),
    /// A signature.
    PrivateKey {
        /// The key as PEM.
        key: Text,
        /// How it signs.
        algorithm: Algorithm,
    },
}

/// How a private key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are called as in RFC 7518")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Es256,
    Es384,
}

const ALGORITHMS: [(&str, Algorithm); 5] = [
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
];

impl Default for Oauth {
    fn default() -> Self {
        Self { scopes: Vec::new(), grant: Grant::Code { client: Client::Registered, redirect_port: None } }
    }
}

impl Oauth {
    /// All that may hold placeholders and is secret.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        match &self.grant {
            Grant::Code { client: Client::Known { secret, .. }, .. } => secret.as_ref(),
            Grant::Code { .. } => None,
            Grant::ClientCredentials { proof: Proof::Secret(text) | Proof::PrivateKey { key: text, .. }, .. } => {
                Some(text)
            }
        }
        .into_iter()
    }
}

/// Reads the key `auth` of a server.
pub(super) fn read(reader: &mut Reader, node: &Node, what: &str) -> Option<Oauth> {
    if let Value::Text(_) = &node.value {
        return reader.word(node, what, &[("oauth", ())]).map(|()| Oauth::default());
    }
    let mut table = reader.table(node, what)?;
    let inner = table.require(reader, "oauth");
    let path = table.path("oauth");
    table.finish(reader);
    let mut table = reader.table(inner?, &path)?;
    let oauth = details(reader, &mut table);
    table.finish(reader);
    oauth
}

fn details(reader: &mut Reader, table: &mut Table<'_>) -> Option<Oauth> {
    let scopes = settings::texts(reader, table, "scopes").unwrap_or_default();
    let words = [("authorization_code", false), ("client_credentials", true)];
    let is_own = settings::word(reader, table, "grant", &words).unwrap_or(false);
    let id = placeholder_text(reader, table, "client_id");
    let secret = placeholder_text(reader, table, "client_secret");
    let key = placeholder_text(reader, table, "private_key");
    let algorithm = settings::word(reader, table, "algorithm", &ALGORITHMS);
    let described = settings::text(reader, table, "client_metadata_url");
    let redirect_port = settings::whole(reader, table, "redirect_port", 1..=65_535);
    let grant = if is_own {
        conflicts(reader, table, &["client_metadata_url", "redirect_port"], "grant = \"client_credentials\"");
        credentials(reader, table, id, secret, key, algorithm)?
    } else {
        conflicts(reader, table, &["private_key", "algorithm"], "grant = \"authorization_code\"");
        Grant::Code { client: client(reader, table, id, secret, described)?, redirect_port }
    };
    Some(Oauth { scopes, grant })
}

fn credentials(
    reader: &mut Reader,
    table: &Table<'_>,
    id: Option<Text>,
    secret: Option<Text>,
    key: Option<Text>,
    algorithm: Option<Algorithm>,
) -> Option<Grant> {
    let proof = match (secret, key) {
        (Some(secret), None) => {
            conflicts(reader, table, &["algorithm"], "client_secret");
            Some(Proof::Secret(secret))
        }
        (None, Some(key)) => Some(Proof::PrivateKey { key, algorithm: algorithm.unwrap_or(Algorithm::Es256) }),
        (Some(_), Some(_)) => {
            conflicts(reader, table, &["private_key"], "client_secret");
            None
        }
        (None, None) => None,
    };
    if let (Some(id), Some(proof)) = (id, proof) {
        return Some(Grant::ClientCredentials { id, proof });
    }
    let message = format!("`{}` needs `client_id`, and either `client_secret` or `private_key`", table.what());
    let span = reader.head(&table.span());
    reader.error(code::MISSING, span, message).help =
        Some("for example `client_secret = \"${DOCS_SECRET}\"` or `private_key = \"${file:key.pem}\"`".to_owned());
    None
}

fn client(
    reader: &mut Reader,
    table: &Table<'_>,
    id: Option<Text>,
    secret: Option<Text>,
    described: Option<String>,
) -> Option<Client> {
    match (id, described) {
        (Some(_), Some(_)) => {
            conflicts(reader, table, &["client_metadata_url"], "client_id");
            None
        }
        (Some(id), None) => Some(Client::Known { id, secret }),
        (None, _) if secret.is_some() => {
            let span = table.key_span("client_secret").unwrap_or_else(|| table.span());
            reader.error(code::MISSING, span, format!("`{}` needs `client_id`", table.path("client_secret"))).help =
                Some("the two are given out together".to_owned());
            None
        }
        (None, Some(described)) => {
            let path = described.strip_prefix("https://").and_then(|rest| rest.split_once('/'));
            if path.is_some_and(|(host, path)| !host.is_empty() && !path.is_empty()) {
                return Some(Client::Described(described));
            }
            let span = table.key_span("client_metadata_url").unwrap_or_else(|| table.span());
            let message = format!("`{}` is no https URL with a path", table.path("client_metadata_url"));
            reader.error(code::WRONG_VALUE, span, message).help =
                Some("the address of a client id metadata document, `https://HOST/PATH`".to_owned());
            None
        }
        (None, None) => Some(Client::Registered),
    }
}

fn placeholder_text(reader: &mut Reader, table: &mut Table<'_>, key: &'static str) -> Option<Text> {
    let node = table.take(key)?;
    text(reader, node, &table.path(key))
}

fn conflicts(reader: &mut Reader, table: &Table<'_>, keys: &[&str], with: &str) {
    for key in keys {
        if let Some(span) = table.key_span(key) {
            reader.error(code::CONFLICT, span, format!("`{}` does not go with `{with}`", table.path(key)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::Source;
    use crate::registry::load::load;
    use crate::registry::server::Launch;

    /// What the registry makes of `auth`, or the codes and texts of the problems.
    fn parsed(url: &str, auth: &str) -> Result<Oauth, String> {
        let text = format!("[servers.x]\nurl = {url:?}\nauth = {auth}\n");
        let (registry, problems) = load(&[Source::new("registry.toml", text)]);
        if !problems.is_empty() {
            return Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
        match &registry.servers["x"].launch {
            Launch::Url(address) => Ok(address.oauth.as_deref().cloned().expect("it has `auth`")),
            Launch::Command(_) => unreachable!("it has a URL"),
        }
    }

    #[test]
    fn a_word_is_enough() {
        assert_eq!(parsed("https://x.example/mcp", "\"oauth\""), Ok(Oauth::default()));
        assert_eq!(parsed("http://127.0.0.1:1/mcp", "{ oauth = {} }"), Ok(Oauth::default()));
    }

    #[test]
    fn a_client_is_known_described_or_registers_itself() {
        let text = |text: &str| Text::parse(text).expect("text");
        let of = |auth: &str| parsed("https://x.example/mcp", auth).expect("it is right").grant;
        let client = Client::Known { id: text("me"), secret: Some(text("${S}")) };
        assert_eq!(
            of("{ oauth = { client_id = \"me\", client_secret = \"${S}\", redirect_port = 9 } }"),
            Grant::Code { client, redirect_port: Some(9) }
        );
        let client = Client::Described("https://me.example/client.json".to_owned());
        assert_eq!(
            of("{ oauth = { client_metadata_url = \"https://me.example/client.json\" } }"),
            Grant::Code { client, redirect_port: None }
        );
        let proof = Proof::PrivateKey { key: text("${file:k}"), algorithm: Algorithm::Rs256 };
        assert_eq!(
            of(
                "{ oauth = { grant = \"client_credentials\", client_id = \"me\", private_key = \"${file:k}\", algorithm = \"RS256\" } }"
            ),
            Grant::ClientCredentials { id: text("me"), proof }
        );
    }

    #[test]
    fn what_does_not_go_together_is_refused_and_no_secret_repeated() {
        for (auth, expected) in [
            ("\"basic\"", "MO1004"),
            ("{ }", "MO1005"),
            ("{ oauth = { scope = [] } }", "MO1003"),
            ("{ oauth = { client_secret = \"hunter2\" } }", "needs `client_id`"),
            ("{ oauth = { grant = \"client_credentials\", client_id = \"x\" } }", "MO1005"),
            ("{ oauth = { client_id = \"x\", private_key = \"hunter2\" } }", "MO1007"),
            ("{ oauth = { client_id = \"x\", client_metadata_url = \"https://a.example/b\" } }", "MO1007"),
            ("{ oauth = { client_metadata_url = \"http://a.example/b\" } }", "MO1004"),
            ("{ oauth = { redirect_port = 70000 } }", "MO1004"),
        ] {
            let said = parsed("https://x.example/mcp", auth).expect_err(auth);
            assert!(said.contains(expected) && !said.contains("hunter2"), "{auth}: {said}");
        }
        for url in ["http://x.example/mcp", "http+unix://%2Frun%2Fx.sock/mcp", "unix:///run/x.sock"] {
            assert!(parsed(url, "\"oauth\"").expect_err(url).contains("MO1007"), "{url}");
        }
    }
}

//! Files that are written for `kubectl`: which cluster is meant, and what proves who asks.
//!
//! What cannot be done as the file says is refused, rather than done in a way that it does not say: programs that fetch tokens are not run,
//! and no certificate goes unchecked.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::discovery::kubernetes::access::Access;
use crate::document::format::Format;
use crate::document::parse::parse;
use crate::model::problem::Source;

/// Keys of a cluster whose meaning is not followed.
const OF_CLUSTER: [&str; 3] = ["insecure-skip-tls-verify", "tls-server-name", "proxy-url"];

/// Keys of a user whose meaning is not followed.
const OF_USER: [&str; 5] = ["exec", "auth-provider", "username", "as", "as-groups"];

/// What `text`, the file at `path`, says of its `context`, or of the current one. Other files that it names are `read`.
pub(super) fn access(
    path: &str,
    text: &str,
    context: Option<&str>,
    read: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Access, String> {
    let config = parse(&Source::new(path, text), Format::Yaml).map_err(|problem| problem.message)?.to_json();
    let current = config["current-context"].as_str().filter(|name| !name.is_empty());
    let context = context.or(current).ok_or("it has no `current-context`; say which by `context`")?;
    let context = named(&config, "context", context)?;
    let part = |kind: &str| {
        let name = context[kind].as_str().ok_or_else(|| format!("its context names no `{kind}`"))?;
        named(&config, kind, name)
    };
    let (cluster, user) = (part("cluster")?, part("user")?);
    follows_all(&cluster, &OF_CLUSTER)?;
    follows_all(&user, &OF_USER)?;
    let folder = Path::new(path).parent().unwrap_or_else(|| Path::new(""));
    // What is given as data counts more than what is given as a file.
    let given = |table: &Value, key: &str| -> Result<Option<String>, String> {
        if let Some(data) = table[&format!("{key}-data")].as_str() {
            let wrong = || format!("its `{key}-data` is not what it should be");
            let bytes = STANDARD.decode(data.trim()).map_err(|_| wrong())?;
            return String::from_utf8(bytes).map(Some).map_err(|_| wrong());
        }
        table[key].as_str().map(|file| read(&folder.join(file).to_string_lossy())).transpose()
    };
    let identity = match (given(&user, "client-certificate")?, given(&user, "client-key")?) {
        (Some(certificate), Some(key)) => Some(format!("{certificate}\n{key}").into_bytes()),
        (None, None) => None,
        _ => return Err("its `client-certificate` and `client-key` belong together".to_owned()),
    };
    let file = user["tokenFile"].as_str().map(|file| read(&folder.join(file).to_string_lossy())).transpose()?;
    Ok(Access {
        url: cluster["server"].as_str().ok_or("its cluster has no `server`")?.to_owned(),
        token: file.or_else(|| user["token"].as_str().map(ToOwned::to_owned)),
        ca: given(&cluster, "certificate-authority")?.map(String::into_bytes),
        identity,
    })
}

/// The `kind` that is called `name`.
fn named(config: &Value, kind: &str, name: &str) -> Result<Value, String> {
    let all = config[&format!("{kind}s")].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = all.iter().find(|one| one["name"] == name).map(|one| one[kind].clone());
    found.ok_or_else(|| {
        let known: Vec<_> = all.iter().filter_map(|one| Some(format!("`{}`", one["name"].as_str()?))).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!("it has no {kind} `{name}`; it has {known}")
    })
}

fn follows_all(table: &Value, keys: &[&str]) -> Result<(), String> {
    let is_meant = |key: &&&str| !matches!(&table[**key], Value::Null | Value::Bool(false));
    match keys.iter().find(is_meant) {
        Some(key) => Err(format!("its `{key}` is not followed; use `kubectl proxy` and its address as `api`")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
apiVersion: v1
kind: Config
preferences: {}
clusters:
- name: near
  cluster: { server: "http://127.0.0.1:8001" }
- cluster:
    certificate-authority-data: UEVN
    server: https://far.example:6443/base
  name: far
- cluster: { server: "https://open.example", insecure-skip-tls-verify: true }
  name: open
contexts:
- context: { cluster: near, user: me, namespace: tools }
  name: here
- context: { cluster: far, user: admin }
  name: there
- context: { cluster: near, user: cloud }
  name: cloudy
- context: { cluster: open, user: me }
  name: unchecked
- context: { cluster: nowhere, user: me }
  name: lost
current-context: here
users:
- name: me
  user: { token: secret }
- name: admin
  user: { client-certificate: admin.crt, client-key-data: S0VZ, tokenFile: /run/token }
- name: cloud
  user: { exec: { command: aws } }
"#;

    fn of(context: Option<&str>) -> Result<Access, String> {
        access("/home/me/.kube/config", FILE, context, &|path| Ok(format!("<{path}>")))
    }

    #[test]
    fn a_context_says_where_the_api_is_and_what_proves_who_asks() {
        let here = Access { url: "http://127.0.0.1:8001".into(), token: Some("secret".into()), ..Access::default() };
        assert_eq!(of(None), Ok(here));
        let there = Access {
            url: "https://far.example:6443/base".into(),
            token: Some("</run/token>".into()),
            ca: Some(b"PEM".to_vec()),
            identity: Some(b"</home/me/.kube/admin.crt>\nKEY".to_vec()),
        };
        assert_eq!(of(Some("there")), Ok(there));
    }

    #[test]
    fn what_cannot_be_done_as_it_says_is_refused_with_the_reason() {
        for (context, why) in [
            ("cloudy", "its `exec` is not followed"),
            ("unchecked", "its `insecure-skip-tls-verify` is not followed"),
            ("lost", "it has no cluster `nowhere`; it has `near`, `far`, `open`"),
            ("heer", "it has no context `heer`"),
        ] {
            assert!(of(Some(context)).expect_err("it is refused").contains(why), "{context}");
        }
        let access = |text| access("config", text, None, &|_| Err(String::new()));
        assert!(access("{}").expect_err("it says nothing").contains("current-context"));
        assert!(access("a: [").is_err());
    }
}

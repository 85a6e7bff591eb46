//! Files that are written for `kubectl`: which cluster is meant, and what proves who asks.
//!
//! What cannot be done as the file says is refused, rather than done in a way that it does not say; no certificate goes unchecked.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::discovery::kubernetes::access::Access;
use crate::document::format::Format;
use crate::document::parse::parse;
use crate::model::problem::Source;
use crate::registry::server::Command;
use crate::registry::text::Text;

/// Keys of a cluster whose meaning is not followed.
const OF_CLUSTER: [&str; 3] = ["insecure-skip-tls-verify", "tls-server-name", "proxy-url"];

/// Keys of a user whose meaning is not followed.
const OF_USER: [&str; 4] = ["auth-provider", "username", "as", "as-groups"];

/// What a file says.
pub(super) struct Said {
    pub(super) access: Access,
    /// A program that prints what proves who asks.
    pub(super) exec: Option<Command>,
}

/// What `text`, the file at `path`, says of its `context`, or of the current one. Other files that it names are `read`.
pub(super) fn said(
    path: &str,
    text: &str,
    context: Option<&str>,
    read: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Said, String> {
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
    let access = Access {
        url: cluster["server"].as_str().ok_or("its cluster has no `server`")?.to_owned(),
        token: file.or_else(|| user["token"].as_str().map(ToOwned::to_owned)),
        ca: given(&cluster, "certificate-authority")?.map(String::into_bytes),
        identity,
    };
    let exec = Some(&user["exec"]).filter(|exec| exec.is_object());
    let exec = exec.map(|exec| program(exec, folder, &access)).transpose()?;
    Ok(Said { access, exec })
}

/// The program that `exec` names, with what it is told of the cluster (client-go credential plugins).
fn program(exec: &Value, folder: &Path, access: &Access) -> Result<Command, String> {
    let command = exec["command"].as_str().ok_or("its `exec` has no `command`")?;
    // One that is named by a path is looked for beside the file.
    let command = if command.contains('/') { folder.join(command) } else { command.into() };
    let args = exec["args"].as_array().into_iter().flatten().filter_map(Value::as_str).map(Text::literal);
    let mut about =
        json!({ "apiVersion": exec["apiVersion"], "kind": "ExecCredential", "spec": { "interactive": false } });
    if exec["provideClusterInfo"] == true {
        let ca = access.ca.as_ref().map(|ca| STANDARD.encode(ca));
        about["spec"]["cluster"] = json!({ "server": access.url, "certificate-authority-data": ca });
    }
    let env = exec["env"].as_array().into_iter().flatten();
    let env = env.filter_map(|one| Some((one["name"].as_str()?.to_owned(), Text::literal(one["value"].as_str()?))));
    let told = ("KUBERNETES_EXEC_INFO".to_owned(), Text::literal(&about.to_string()));
    Ok(Command {
        command: Text::literal(&command.to_string_lossy()),
        args: args.collect(),
        env: env.chain([told]).collect(),
        cwd: None,
    })
}

/// The same access with what a program has `printed` to prove who asks.
pub(super) fn proven(access: Access, printed: &[u8]) -> Result<Access, String> {
    let printed: Value = serde_json::from_slice(printed).map_err(|_| "prints no JSON".to_owned())?;
    let part = |key: &str| printed["status"][key].as_str().map(ToOwned::to_owned);
    let identity = match (part("clientCertificateData"), part("clientKeyData")) {
        (Some(certificate), Some(key)) => Some(format!("{certificate}\n{key}").into_bytes()),
        _ => None,
    };
    let token = part("token");
    if token.is_none() && identity.is_none() {
        return Err("prints neither a token nor a certificate with its key".to_owned());
    }
    Ok(Access { token, identity, ..access })
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
- context: { cluster: near, user: old }
  name: dated
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
  user: { exec: { apiVersion: client.authentication.k8s.io/v1, command: aws, args: [get-token, "${x}"], env: [{ name: P, value: q }] } }
- name: old
  user: { auth-provider: { name: oidc } }
"#;

    fn of(context: Option<&str>) -> Result<Access, String> {
        said("/home/me/.kube/config", FILE, context, &|path| Ok(format!("<{path}>"))).map(|said| said.access)
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
            ("dated", "its `auth-provider` is not followed"),
            ("unchecked", "its `insecure-skip-tls-verify` is not followed"),
            ("lost", "it has no cluster `nowhere`; it has `near`, `far`, `open`"),
            ("heer", "it has no context `heer`"),
        ] {
            assert!(of(Some(context)).expect_err("it is refused").contains(why), "{context}");
        }
        let said = |text| said("config", text, None, &|_| Err(String::new())).map(|said| said.access);
        assert!(said("{}").expect_err("it says nothing").contains("current-context"));
        assert!(said("a: [").is_err());
    }

    #[test]
    fn a_program_proves_who_asks() {
        let said = said("/home/me/.kube/config", FILE, Some("cloudy"), &|_| Err(String::new())).expect("an access");
        let command = said.exec.expect("a program");
        let texts: Vec<_> = command.args.iter().map(Text::as_written).collect();
        assert_eq!((command.command.as_written(), texts), ("aws", vec!["get-token", "$${x}"]));
        assert_eq!(command.env.keys().collect::<Vec<_>>(), ["KUBERNETES_EXEC_INFO", "P"]);
        let proven = |printed: &str| proven(Access { url: "u".into(), ..Access::default() }, printed.as_bytes());
        let token = Access { url: "u".into(), token: Some("t".into()), ..Access::default() };
        assert_eq!(proven(r#"{ "status": { "token": "t" } }"#), Ok(token));
        let pair = proven(r#"{ "status": { "clientCertificateData": "C", "clientKeyData": "K" } }"#);
        assert_eq!(pair.map(|access| access.identity), Ok(Some(b"C\nK".to_vec())));
        assert!(proven(r#"{ "status": {} }"#).is_err() && proven("no").is_err());
    }
}

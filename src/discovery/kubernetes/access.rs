//! How the API of a cluster is reached, and what proves who asks, as far as files and variables say it.

use crate::discovery::kubernetes::kubeconfig;
use crate::downstream::hook::Hooks;
use crate::downstream::stdio::child::expand;
use crate::model::fault::Fault;
use crate::registry::source::kubernetes::Access as Written;

/// Where a pod finds what it needs to ask its own cluster.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How the API of a cluster is reached.
#[cfg_attr(test, derive(Debug, Default, PartialEq, Eq))]
pub(super) struct Access {
    /// Its address.
    pub(super) url: String,
    /// What proves who asks.
    pub(super) token: Option<String>,
    /// The certificates of the authorities that may have signed the API's; those of the system if `None`.
    pub(super) ca: Option<Vec<u8>>,
    /// A certificate that proves who asks, and its key.
    pub(super) identity: Option<Vec<u8>>,
}

impl Access {
    /// What is meant by what is `written`. Looked at anew for each request that lasts: a token of a pod is replaced every hour.
    pub(super) async fn of(written: &Written, hooks: &Hooks) -> Result<Self, String> {
        let filled = |text| expand(text).map_err(|fault: Fault| fault.message);
        match written {
            Written::Pod => {
                let (token, ca) = (read(&format!("{ACCOUNT}/token"))?, read(&format!("{ACCOUNT}/ca.crt"))?);
                Ok(Self { url: own()?, token: Some(token), ca: Some(ca.into_bytes()), identity: None })
            }
            Written::Api { url, token, ca } => {
                let ca = ca.as_ref().map(filled).transpose()?.map(|path| read(&path)).transpose()?;
                let token = token.as_ref().map(filled).transpose()?;
                Ok(Self { url: filled(url)?, token, ca: ca.map(String::into_bytes), identity: None })
            }
            Written::Config { file, context, exec } => {
                let path = at_home(filled(file)?)?;
                let wrong = |why: String| format!("`{path}`: {why}");
                let said = kubeconfig::said(&path, &read(&path)?, context.as_deref(), &read).map_err(wrong)?;
                let Some(command) = said.exec else { return Ok(said.access) };
                let shown = command.command.as_written();
                if !exec {
                    let why =
                        format!("it wants `{shown}` to be run; say `exec = true` beside `kubeconfig` to allow that");
                    return Err(wrong(why));
                }
                let printed = hooks.print(shown, &command).await;
                let printed = printed.map_err(|why| format!("`{shown}` does not prove who asks: {why}"))?;
                kubeconfig::proven(said.access, &printed).map_err(|why| format!("`{shown}` {why}"))
            }
        }
    }
}

/// The API of the cluster that we run in.
fn own() -> Result<String, String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(host), Some(port)) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT")) else {
        let why = "the program does not run in a cluster; say where the cluster is by `kubeconfig`, or by `api`, for instance \
                   `http://127.0.0.1:8001` with `kubectl proxy`";
        return Err(why.to_owned());
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(format!("https://{host}:{port}"))
}

/// A path that begins at the user's home as people write it.
fn at_home(path: String) -> Result<String, String> {
    let Some(rest) = path.strip_prefix("~/") else { return Ok(path) };
    let home = etcetera::home_dir().map_err(|why| format!("`{path}` cannot be found: {why}"))?;
    Ok(home.join(rest).to_string_lossy().into_owned())
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|why| format!("`{path}` cannot be read: {why}"))
}

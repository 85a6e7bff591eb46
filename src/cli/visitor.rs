//! Who logs in where no person sits: follows the address to go to, as the suite's authorization servers ask nothing.

use std::time::Duration;

use http::header::LOCATION;

use crate::downstream::oauth::account::Account;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::registry::server::Server;

/// How often one logs in at most, as a person would not do it for ever either.
const LOGINS: usize = 3;

/// Where the browser would come back to. Nobody has to listen there.
const BACK: &str = "http://127.0.0.1:8976/callback";

const VISIT: Duration = Duration::from_secs(10);

/// Does what the hint of a fault says.
#[derive(Debug, Default)]
pub struct Visitor {
    logins: usize,
}

impl Visitor {
    /// Whether `fault` of `server` wants a login that has not been tried too often. One from before the last does not.
    pub fn is_asked_for(&self, server: &Server, fault: &Fault) -> bool {
        let standing = || Account::at(server)?.ok()?.standing().ok();
        let is_new = || standing().is_some_and(|standing| standing.demanded.is_some());
        fault.code == code::AUTH_NEEDED && self.logins < LOGINS && is_new()
    }

    /// Logs in at `server`, which said `fault`.
    pub async fn log_in(&mut self, server: &Server, fault: Fault) -> Result<(), Fault> {
        self.logins += 1;
        let account = Account::at(server).ok_or(fault)??;
        account.login(BACK, async |page: String| visit(&page).await).await
    }
}

/// Where `page` sends whoever opens it.
async fn visit(page: &str) -> Result<String, Fault> {
    let failed = |why: String| Fault::new(Kind::Denied, code::AUTH_FAILED, why);
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(VISIT).no_proxy();
    let client = client.build().map_err(|error| failed(error.to_string()))?;
    let response = client.get(page).send().await.map_err(|error| failed(error.without_url().to_string()))?;
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    location.map(ToOwned::to_owned).ok_or_else(|| failed(format!("the page answers with HTTP {}", response.status())))
}

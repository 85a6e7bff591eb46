//! The client that all requests of ours are made by.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Url};

/// How long a connection may be idle before it is closed.
const IDLE: Duration = Duration::from_secs(90);

/// The longest that the opening of a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A client for requests to `url`. It follows no redirect, so that what goes along with a request goes nowhere else, and uses no
/// proxy for this machine.
pub fn builder(url: &Url) -> ClientBuilder {
    let builder = reqwest::Client::builder()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .redirect(Policy::none());
    if is_near(url) { builder.no_proxy() } else { builder }
}

/// Whether `url` is on this machine. A name that begins like an address is none.
pub fn is_near(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let is_loopback = |host: &str| host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    host == "localhost" || is_loopback(host.trim_matches(['[', ']']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_near() {
        let near = |url: &str| is_near(&Url::parse(url).expect("a URL"));
        for here in ["http://localhost/x", "http://127.0.0.1:80", "http://127.3.2.1", "http://[::1]:9/"] {
            assert!(near(here), "{here}");
        }
        for elsewhere in ["http://127.evil.example", "https://localhost.example", "http://10.0.0.1", "http://[::2]/"] {
            assert!(!near(elsewhere), "{elsewhere}");
        }
    }
}

//! What went wrong on the way to a token, in words that hold no credentials.

use std::io;

use rmcp::transport::auth::AuthError;

use crate::downstream::http::faults::{causes, without_urls};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::wire::envelope::bounded;

/// Somebody must log in.
pub fn login_needed(server: &str, why: &str) -> Fault {
    Fault::new(Kind::Denied, code::AUTH_NEEDED, format!("the server demands authentication: {why}"))
        .hint(format!("run `mcp-orchestrator auth login {server}`"))
}

/// The authorization did not come about, and will not by itself.
pub fn refused(why: &str) -> Fault {
    Fault::new(Kind::Denied, code::AUTH_FAILED, format!("no authorization: {}", bounded(&without_urls(why), 400)))
}

/// The file of tokens cannot be used.
pub fn no_vault(error: &io::Error) -> Fault {
    refused(&format!("the tokens cannot be kept: {error}"))
        .hint("make the folder for the state of mcp-orchestrator writable; see docs/registry.md")
}

/// What the protocol's steps say. What only the network prevented may well succeed later.
pub fn of(error: &AuthError) -> Fault {
    let why = causes(error);
    let is_transient = matches!(
        error,
        AuthError::TokenRefreshFailed(_) | AuthError::HttpError(_) | AuthError::DiscoveryRequestFailed { .. }
    );
    if is_transient { Fault { kind: Kind::Unavailable, ..refused(&why) } } else { refused(&why) }
}

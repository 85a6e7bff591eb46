//! Asking a source once.

use crate::discovery::answer::{Answer, parse};
use crate::downstream::pool::Pool;
use crate::registry::source::{Place, ServerSource};

/// What `source` answers, or in words why it does not. Takes as long as it takes; dropped, nothing of it is left.
pub(super) async fn ask(source: &ServerSource, pool: &Pool) -> Result<Answer, String> {
    match &source.place {
        Place::Command(command) => parse(&pool.hooks().print(&source.title(), command).await?),
        Place::Url(address) => parse(&pool.hooks().fetch(address).await?),
    }
}

//! Asking a source once.

use crate::discovery::answer::{Answer, parse};
#[cfg(feature = "dns")]
use crate::discovery::dns;
use crate::downstream::pool::Pool;
use crate::registry::source::ServerSource;
use crate::registry::source::place::Place;

/// What `source` answers, or in words why it does not. Takes as long as it takes; dropped, nothing of it is left.
pub(super) async fn ask(source: &ServerSource, pool: &Pool) -> Result<Answer, String> {
    match &source.place {
        Place::Command(command) => parse(&pool.hooks().print(&source.title(), command).await?),
        Place::Url(address) => parse(&pool.hooks().fetch(address).await?),
        #[cfg(feature = "dns")]
        Place::Dns(place) => dns::look_up(place, source).await,
        #[cfg(not(feature = "dns"))]
        Place::Dns(_) => Err("this program was built without `dns`".to_owned()),
        Place::Kubernetes(_) | Place::Mdns(_) => Err("it tells by itself and is not asked".to_owned()),
    }
}

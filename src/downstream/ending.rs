//! The end of a connection: announced once, with the reason, to everybody who waits for it.

use tokio::sync::watch;

/// Whether a connection has ended, and why.
#[derive(Debug, Clone)]
pub struct Ending(watch::Sender<Option<String>>);

impl Default for Ending {
    fn default() -> Self {
        Self(watch::channel(None).0)
    }
}

impl Ending {
    /// Announces the end. The first reason stays.
    pub fn announce(&self, why: &str) {
        self.0.send_if_modified(|ending| {
            let is_first = ending.is_none();
            ending.get_or_insert_with(|| why.to_owned());
            is_first
        });
    }

    /// The reason, if it has ended.
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Waits for the end; says why.
    pub async fn wait(&self) -> String {
        let mut ending = self.0.subscribe();
        // The sender lives as long as `self`.
        ending.wait_for(Option::is_some).await.map_or_else(|_| String::new(), |why| why.clone().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays_and_reaches_everybody() {
        let ending = Ending::default();
        assert_eq!(ending.reason(), None);
        let early = {
            let ending = ending.clone();
            async move { ending.wait().await }
        };
        ending.announce("it exited");
        ending.announce("it was closed");
        assert_eq!((early.await, ending.wait().await), ("it exited".to_owned(), "it exited".to_owned()));
    }
}

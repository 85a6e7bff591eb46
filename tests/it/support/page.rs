//! A page on loopback that says what a test wants it to say.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::web::{read, respond, silence};

/// What a page says: a status, and a text.
type Said = Arc<Mutex<(u16, String)>>;

/// A running page; its thread ends with the test process.
pub(crate) struct Page {
    pub(crate) port: u16,
    said: Said,
    ignores_next: Arc<AtomicBool>,
}

impl Page {
    pub(crate) fn saying(text: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = listener.local_addr().expect("it is bound").port();
        let said: Said = Arc::new(Mutex::new((200, text.to_string())));
        let ignores_next = Arc::new(AtomicBool::new(false));
        let (saying, ignores) = (Arc::clone(&said), Arc::clone(&ignores_next));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (saying, ignores) = (Arc::clone(&saying), Arc::clone(&ignores));
                std::thread::spawn(move || {
                    while read(&stream).is_some() {
                        if ignores.swap(false, Ordering::SeqCst) {
                            silence();
                            return;
                        }
                        let (status, text) = saying.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        if respond(&stream, status, "", "application/json", &text).is_none() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, said, ignores_next }
    }

    /// Says this from now on.
    pub(crate) fn say(&self, text: &Value) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = (200, text.to_string());
    }

    /// Never answers the next request; gives back how to find out whether it has come.
    pub(crate) fn ignore_next(&self) -> impl Fn() -> bool + use<> {
        self.ignores_next.store(true, Ordering::SeqCst);
        let ignores = Arc::clone(&self.ignores_next);
        move || !ignores.load(Ordering::SeqCst)
    }

    /// Answers with this status from now on.
    pub(crate) fn fail(&self, status: u16) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = (status, String::new());
    }
}

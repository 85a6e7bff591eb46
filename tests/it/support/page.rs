//! A page on loopback that says what a test wants it to say.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::web::{read, respond};

/// What a page says: a status, and a text.
type Said = Arc<Mutex<(u16, String)>>;

/// A running page; its thread ends with the test process.
pub(crate) struct Page {
    pub(crate) port: u16,
    said: Said,
}

impl Page {
    pub(crate) fn saying(text: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = listener.local_addr().expect("it is bound").port();
        let said: Said = Arc::new(Mutex::new((200, text.to_string())));
        let saying = Arc::clone(&said);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let saying = Arc::clone(&saying);
                std::thread::spawn(move || {
                    while read(&stream).is_some() {
                        let (status, text) = saying.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        if respond(&stream, status, "", "application/json", &text).is_none() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, said }
    }

    /// Says this from now on.
    pub(crate) fn say(&self, text: &Value) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = (200, text.to_string());
    }

    /// Answers with this status from now on.
    pub(crate) fn fail(&self, status: u16) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = (status, String::new());
    }
}

//! What stands before several programs: it passes each connection on to the next of them that lets it in.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A balancer, which goes on until the test ends.
pub(crate) struct Balancer {
    /// Where it listens.
    pub(crate) port: u16,
    near: Arc<Mutex<Vec<TcpStream>>>,
}

impl Balancer {
    /// Breaks every connection. Those that come later are passed on.
    pub(crate) fn cut(&self) {
        for near in self.near.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = near.shutdown(Shutdown::Both);
        }
    }
}

/// Listens on this machine and passes connections on to `ports` in turn.
pub(crate) fn balancer(ports: Vec<u16>) -> Balancer {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let near = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&near);
    std::thread::spawn(move || {
        for (number, near) in listener.incoming().flatten().enumerate() {
            let mut in_turn = (0..ports.len()).map(|place| ports[(number + place) % ports.len()]);
            let far = in_turn.find_map(|port| TcpStream::connect(("127.0.0.1", port)).ok());
            if let Some(far) = far {
                all.lock().unwrap_or_else(PoisonError::into_inner).push(near.try_clone().expect("a handle"));
                pass(&near, &far);
                pass(&far, &near);
            }
        }
    });
    Balancer { port, near }
}

/// The port of a balancer whose connections nobody breaks.
pub(crate) fn balance(ports: Vec<u16>) -> u16 {
    balancer(ports).port
}

/// Passes on what comes from one, until one of the two has gone.
fn pass(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
    let _ = from.set_nodelay(true);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    });
}

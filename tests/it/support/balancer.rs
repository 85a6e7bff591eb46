//! What stands before several programs: it passes each connection on to the next of them that lets it in.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};

/// Listens on this machine and passes connections on to `ports` in turn; gives back its own port.
pub(crate) fn balance(ports: Vec<u16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let own = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for (number, near) in listener.incoming().flatten().enumerate() {
            let mut in_turn = (0..ports.len()).map(|place| ports[(number + place) % ports.len()]);
            let far = in_turn.find_map(|port| TcpStream::connect(("127.0.0.1", port)).ok());
            if let Some(far) = far {
                pass(&near, &far);
                pass(&far, &near);
            }
        }
    });
    own
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

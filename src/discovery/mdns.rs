//! Servers that make themselves known in the local network, by multicast DNS (RFC 6762).
//!
//! Whoever is in the network can do so, and nobody proves who he is: what is found is sent no variable of ours, and not believed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use mdns_sd::{IfKind, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent};
use tokio::time::sleep;

use crate::discovery::answer::Answer;
use crate::discovery::board::Board;
use crate::discovery::service::{Service, Target};
use crate::registry::source::ServerSource;
use crate::registry::source::place::Mdns;

/// Who is there answers within this time.
const FIRST: Duration = Duration::from_secs(1);

/// The pause before what has failed is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// What listens and asks, in a thread of its own, which ends with this.
struct Daemon(ServiceDaemon);

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.shutdown();
    }
}

/// Listens for ever, and tells `board`.
pub(super) async fn watch(place: &Mdns, source: &ServerSource, board: &Board) {
    loop {
        let why = listen(place, source, board).await;
        board.note(source, Err(format!("the local network cannot be listened to: {why}")));
        sleep(PAUSE).await;
    }
}

/// Listens until that fails; gives back why.
async fn listen(place: &Mdns, source: &ServerSource, board: &Board) -> String {
    let (_daemon, events) = match begun(place) {
        Ok(begun) => begun,
        Err(why) => return why.to_string(),
    };
    let mut services = BTreeMap::new();
    let first = sleep(FIRST);
    tokio::pin!(first);
    let mut is_first_over = false;
    loop {
        let event = tokio::select! {
            event = events.recv_async() => event,
            () = &mut first, if !is_first_over => {
                is_first_over = true;
                tell(&services, source, board);
                continue;
            }
        };
        match event {
            Ok(ServiceEvent::ServiceResolved(found)) => {
                services.insert(found.fullname.clone(), service(&found));
            }
            Ok(ServiceEvent::ServiceRemoved(_, name)) => _ = services.remove(&name),
            Ok(_) => continue,
            Err(why) => return why.to_string(),
        }
        if is_first_over {
            tell(&services, source, board);
        }
    }
}

fn begun(place: &Mdns) -> mdns_sd::Result<(Daemon, mdns_sd::Receiver<ServiceEvent>)> {
    let daemon = Daemon(ServiceDaemon::new()?);
    if !place.interfaces.is_empty() {
        daemon.0.disable_interface(IfKind::All)?;
        daemon.0.enable_interface(place.interfaces.iter().cloned().map(IfKind::Name).collect::<Vec<_>>())?;
    }
    let events = daemon.0.browse(&place.kind)?;
    Ok((daemon, events))
}

fn tell(services: &BTreeMap<String, Service>, source: &ServerSource, board: &Board) {
    let servers = services.values().filter_map(Service::document).collect();
    board.note(source, Ok(Answer { servers, holds_for: None }));
}

fn service(found: &ResolvedService) -> Service {
    let name = found.fullname.strip_suffix(&found.ty_domain).unwrap_or(&found.fullname).trim_end_matches('.');
    let properties = found.txt_properties.iter();
    let said = properties.map(|one| (one.key().to_ascii_lowercase(), one.val_str().to_owned())).collect();
    // An address that only means something on one of our interfaces is none that a URL could hold.
    let is_usable = |address: &IpAddr| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    };
    let addresses = found.addresses.iter().map(ScopedIp::to_ip_addr).filter(is_usable).collect();
    let host = found.host.trim_end_matches('.').to_owned();
    Service {
        name: name.to_owned(),
        said,
        targets: vec![Target { priority: 0, weight: 0, host, port: found.port, addresses }],
    }
}

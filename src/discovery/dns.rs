//! Servers by the records of a name: SRV and TXT of the name itself, and of the names that its PTR records lead to.

use std::net::IpAddr;
use std::time::Duration;

use futures::future::join_all;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

use crate::discovery::answer::Answer;
use crate::discovery::service::{Service, Target, said};
use crate::registry::source::ServerSource;
use crate::registry::source::place::Dns;

/// The records of a name, and how long the least of them hold.
struct Records {
    all: Vec<Record>,
    hold_for: Option<Duration>,
}

/// What the records of `place` tell. A name without records tells that there is no server.
pub(super) async fn look_up(place: &Dns, source: &ServerSource) -> Result<Answer, String> {
    let resolver = resolver(place, source)?;
    let name = Name::from_utf8(&place.name).map_err(|why| format!("`{}` is no name: {why}", place.name))?;
    let name = fully(name);
    let instances = ask(&resolver, &name, RecordType::PTR).await?;
    let mut held = vec![instances.hold_for];
    let mut names: Vec<(String, Name)> = vec![(source.name.to_string(), name)];
    for record in &instances.all {
        if let RData::PTR(target) = &record.data {
            names.push((first_label(&target.0), fully(target.0.clone())));
        }
    }
    // Name servers tell them in any order. One of them is the name itself, and one too many is seen and told.
    names[1..].sort();
    names.truncate(source.max_servers + 2);
    let services = join_all(names.iter().map(|(title, name)| service(&resolver, title, name))).await;
    let mut answer = Answer::default();
    for service in services {
        let (service, holds_for) = service?;
        held.push(holds_for);
        answer.servers.extend(service.document());
    }
    answer.holds_for = held.into_iter().flatten().min();
    Ok(answer)
}

/// A new one each time: what the system says of its name servers may have changed.
fn resolver(place: &Dns, source: &ServerSource) -> Result<TokioResolver, String> {
    let mut builder = match place.nameserver {
        None => Resolver::builder_tokio().map_err(|why| format!("the system's name servers are not known: {why}"))?,
        Some(address) => {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = address.port();
            }
            let server = NameServerConfig::new(address.ip(), true, connections);
            let config = ResolverConfig::from_name_servers(vec![server]);
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = source.timeout / 3;
    options.attempts = 1;
    builder.build().map_err(|why| format!("no name can be looked up: {why}"))
}

async fn service(resolver: &TokioResolver, title: &str, name: &Name) -> Result<(Service, Option<Duration>), String> {
    let (places, texts) = futures::join!(ask(resolver, name, RecordType::SRV), ask(resolver, name, RecordType::TXT));
    let (places, texts) = (places?, texts?);
    let mut held = vec![places.hold_for];
    let strings =
        texts.all.iter().filter_map(|record| if let RData::TXT(text) = &record.data { Some(text) } else { None });
    let strings = strings.flat_map(|text| text.txt_data.iter());
    let said = said(strings.map(AsRef::as_ref));
    if !said.is_empty() {
        held.push(texts.hold_for);
    }
    let srv = places.all.iter().filter_map(|record| if let RData::SRV(srv) = &record.data { Some(srv) } else { None });
    let targets = srv.map(|srv| async {
        let (addresses, hold_for) = addresses(resolver, &srv.target).await?;
        let host = srv.target.to_utf8().trim_end_matches('.').to_owned();
        Ok::<_, String>((
            Target { priority: srv.priority, weight: srv.weight, host, port: srv.port, addresses },
            hold_for,
        ))
    });
    let mut found = Vec::new();
    for target in join_all(targets).await {
        let (target, hold_for) = target?;
        held.push(hold_for);
        found.push(target);
    }
    Ok((Service { name: title.to_owned(), said, targets: found }, held.into_iter().flatten().min()))
}

async fn addresses(resolver: &TokioResolver, host: &Name) -> Result<(Vec<IpAddr>, Option<Duration>), String> {
    // "Decidedly not available" (RFC 2782).
    if host.is_root() {
        return Ok((Vec::new(), None));
    }
    let host = fully(host.clone());
    let (old, new) = futures::join!(ask(resolver, &host, RecordType::A), ask(resolver, &host, RecordType::AAAA));
    let (old, new) = (old?, new?);
    let address = |record: &Record| match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    let all = old.all.iter().chain(&new.all).filter_map(address).collect();
    Ok((all, [old.hold_for, new.hold_for].into_iter().flatten().min()))
}

/// The records of one kind. That there are none is an answer, too.
async fn ask(resolver: &TokioResolver, name: &Name, kind: RecordType) -> Result<Records, String> {
    match resolver.lookup(name.clone(), kind).await {
        Ok(lookup) => {
            let all = lookup.answers().to_vec();
            let least = all.iter().map(|record| record.ttl).min();
            Ok(Records { all, hold_for: least.map(|seconds| Duration::from_secs(seconds.into())) })
        }
        Err(why) if why.is_no_records_found() => Ok(Records { all: Vec::new(), hold_for: None }),
        Err(why) => Err(format!("{kind} of `{name}` cannot be looked up: {why}")),
    }
}

fn fully(mut name: Name) -> Name {
    name.set_fqdn(true);
    name
}

fn first_label(name: &Name) -> String {
    name.iter().next().map(|label| String::from_utf8_lossy(label).into_owned()).unwrap_or_default()
}

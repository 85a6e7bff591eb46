//! The settings that `[defaults]` and every server share, each inheriting what it does not give.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::document::node::{Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::policy::breaker;
use crate::policy::health;
use crate::policy::retry::{Backoff, Jitter, Retry};
use crate::registry::bounds::Bounds;
use crate::registry::server::{Health, Probe};

const INSTANT: Duration = Duration::ZERO;
const SHORTEST: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// What a server has unless it says otherwise.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Duration,
    pub(super) concurrency: usize,
    pub(super) retry: Retry,
    pub(super) breaker: breaker::Settings,
    pub(super) health: Health,
    pub(super) limits: Bounds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(30),
            timeout: Duration::from_mins(1),
            concurrency: 64,
            retry: Retry::default(),
            breaker: breaker::Settings::default(),
            health: Health::default(),
            limits: Bounds::default(),
        }
    }
}

impl Settings {
    /// These settings with what `table` says instead.
    pub(super) fn refined(mut self, reader: &mut Reader, table: &mut Table<'_>) -> Self {
        set(&mut self.connect_timeout, duration(reader, table, "connect_timeout", SHORTEST..=HOUR));
        set(&mut self.timeout, duration(reader, table, "timeout", SHORTEST..=DAY));
        set(&mut self.concurrency, whole(reader, table, "concurrency", 1..=10_000));
        if let Some(node) = table.take("retry") {
            retry(&mut self.retry, reader, node, &table.path("retry"));
        }
        if let Some(node) = table.take("breaker") {
            breaker(&mut self.breaker, reader, node, &table.path("breaker"));
        }
        if let Some(node) = table.take("health") {
            health(&mut self.health, reader, node, &table.path("health"));
        }
        if let Some(node) = table.take("limits") {
            self.limits.refine(reader, node, &table.path("limits"));
        }
        self
    }
}

/// Refines `retry` by what stands at `node`.
pub(super) fn retry(retry: &mut Retry, reader: &mut Reader, node: &Node, what: &str) {
    if let Value::Number(_) = node.value {
        set(&mut retry.attempts, reader.integer(node, what, 1..=100).and_then(|attempts| attempts.try_into().ok()));
        return;
    }
    let Some(mut table) = reader.table(node, what) else { return };
    set(&mut retry.attempts, whole(reader, &mut table, "attempts", 1..=100));
    set(&mut retry.delay, duration(reader, &mut table, "delay", INSTANT..=HOUR));
    set(&mut retry.max_delay, duration(reader, &mut table, "max_delay", INSTANT..=DAY));
    set(
        &mut retry.backoff,
        word(reader, &mut table, "backoff", &Backoff::ALL.map(|backoff| (backoff.as_str(), backoff))),
    );
    set(&mut retry.jitter, word(reader, &mut table, "jitter", &Jitter::ALL.map(|jitter| (jitter.as_str(), jitter))));
    if retry.delay > retry.max_delay {
        let key = if table.key_span("delay").is_some() { "delay" } else { "max_delay" };
        let span = table.key_span(key).unwrap_or_else(|| table.span());
        reader.error(code::CONFLICT, span, format!("`{what}.delay` is longer than `{what}.max_delay`")).help =
            Some("raise `max_delay` or lower `delay`".to_owned());
    }
    table.finish(reader);
}

fn breaker(breaker: &mut breaker::Settings, reader: &mut Reader, node: &Node, what: &str) {
    let Some(mut table) = reader.table(node, what) else { return };
    set(&mut breaker.failures, whole(reader, &mut table, "failures", 1..=10_000));
    set(&mut breaker.window, duration(reader, &mut table, "window", SHORTEST..=DAY));
    set(&mut breaker.open_for, duration(reader, &mut table, "open_for", SHORTEST..=DAY));
    set(&mut breaker.half_open_probes, whole(reader, &mut table, "half_open_probes", 1..=100));
    table.finish(reader);
}

fn health(health: &mut Health, reader: &mut Reader, node: &Node, what: &str) {
    let Some(mut table) = reader.table(node, what) else { return };
    let health::Settings { every, timeout, unhealthy_after, healthy_after } = &mut health.settings;
    set(every, duration(reader, &mut table, "every", SHORTEST..=DAY));
    set(timeout, duration(reader, &mut table, "timeout", SHORTEST..=HOUR));
    set(unhealthy_after, whole(reader, &mut table, "unhealthy_after", 1..=1_000));
    set(healthy_after, whole(reader, &mut table, "healthy_after", 1..=1_000));
    if let Some(node) = table.take("probe") {
        set(&mut health.probe, probe(reader, node, &table.path("probe")));
    }
    table.finish(reader);
}

fn probe(reader: &mut Reader, node: &Node, what: &str) -> Option<Probe> {
    let text = reader.text(node, what)?;
    let probe = match text.split_once(':') {
        Some(("tool", tool)) if !tool.is_empty() => Some(Probe::Tool(tool.to_owned())),
        Some(("http", path)) if path.starts_with('/') => Some(Probe::Http(path.to_owned())),
        None if text == "ping" || text == "auto" => Some(Probe::Auto),
        None if text == "none" => Some(Probe::None),
        _ => None,
    };
    if probe.is_none() {
        reader.error(code::WRONG_VALUE, node.span.clone(), format!("`{what}` is no probe")).help =
            Some("write `ping`, `none`, `tool:NAME`, or `http:/PATH`".to_owned());
    }
    probe
}

/// Replaces `place` if there is something to replace it by.
pub(super) fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// The whole number that `table` has for `key`.
pub(super) fn whole<T: TryFrom<u64>>(
    reader: &mut Reader,
    table: &mut Table<'_>,
    key: &'static str,
    range: RangeInclusive<u64>,
) -> Option<T> {
    let node = table.take(key)?;
    reader.integer(node, &table.path(key), range)?.try_into().ok()
}

/// The duration that `table` has for `key`.
pub(super) fn duration(
    reader: &mut Reader,
    table: &mut Table<'_>,
    key: &'static str,
    range: RangeInclusive<Duration>,
) -> Option<Duration> {
    let node = table.take(key)?;
    reader.duration_within(node, &table.path(key), range)
}

/// What the word stands for that `table` has for `key`.
pub(super) fn word<T: Copy>(
    reader: &mut Reader,
    table: &mut Table<'_>,
    key: &'static str,
    words: &[(&str, T)],
) -> Option<T> {
    let node = table.take(key)?;
    reader.word(node, &table.path(key), words)
}

/// `true` or `false`, as `table` has it for `key`.
pub(super) fn boolean(reader: &mut Reader, table: &mut Table<'_>, key: &'static str) -> Option<bool> {
    let node = table.take(key)?;
    reader.boolean(node, &table.path(key))
}

/// The texts that `table` has for `key`.
pub(super) fn texts(reader: &mut Reader, table: &mut Table<'_>, key: &'static str) -> Option<Vec<String>> {
    let node = table.take(key)?;
    reader.texts(node, &table.path(key))
}

/// The text that `table` has for `key`.
pub(super) fn text(reader: &mut Reader, table: &mut Table<'_>, key: &'static str) -> Option<String> {
    let node = table.take(key)?;
    reader.text(node, &table.path(key))
}

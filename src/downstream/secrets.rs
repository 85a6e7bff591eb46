//! The values that placeholders of a server's entry stand for, and texts about the server without them.
//!
//! A path, a program or what a server writes may hold a token as well as a header does. What is told of a server has the placeholder in its
//! place: as short, and as it stands in the file.

use std::sync::Arc;

use arc_swap::ArcSwap;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use serde_json::value::RawValue;

use crate::downstream::stdio::child::INHERITED;
use crate::downstream::variables::Surroundings;
use crate::model::fault::{Fault, Rpc};
use crate::model::secret::Secret;
use crate::registry::text::Text;

/// Shorter values are ports and modes, and would be found everywhere.
const SHORTEST: usize = 6;

/// What of a server must not be told.
#[derive(Debug, Default)]
pub struct Secrets(ArcSwap<Vec<Value>>);

/// One way to write a value.
#[derive(Debug)]
struct Value {
    text: Secret<String>,
    /// What is shown instead.
    placeholder: String,
}

impl Secrets {
    /// Those that the placeholders of `texts` stand for.
    pub fn of<'a>(texts: impl Iterator<Item = &'a Text>) -> Self {
        let secrets = Self::default();
        secrets.learn(texts);
        secrets
    }

    /// From now on hides what the placeholders of `texts` stand for now, in place of what it hid before.
    pub fn learn<'a>(&self, texts: impl Iterator<Item = &'a Text>) {
        // What every server is given anyway, such as `HOME`, is no secret, and much would be hard to read without it.
        let given =
            texts.flat_map(|text| text.given(&Surroundings)).filter(|(name, _)| !INHERITED.contains(&name.as_str()));
        let mut values: Vec<_> = given
            .flat_map(|(name, value)| {
                let placeholder = format!("${{{name}}}");
                let values = writings(value.expose()).into_iter().filter(|text| text.len() >= SHORTEST);
                values.map(move |text| Value { text: Secret::new(text), placeholder: placeholder.clone() })
            })
            .collect();
        // One may be part of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.text.expose().len()));
        values.dedup_by(|one, other| one.text == other.text);
        self.0.store(Arc::new(values));
    }

    /// Whether nothing is to be hidden.
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// `text` without the values.
    pub fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in self.0.load().iter() {
            if text.contains(value.text.expose()) {
                text = text.replace(value.text.expose(), &value.placeholder);
            }
            if text.contains('…') {
                text = without_beginnings(&text, value);
            }
        }
        text
    }

    /// `fault` without the values.
    pub fn hide_in(&self, fault: Fault) -> Fault {
        if self.is_empty() {
            return fault;
        }
        let rpc = fault.rpc.map(|rpc| Rpc { data: rpc.data.and_then(|data| self.hide_in_json(data)), ..rpc });
        Fault { message: self.hide(&fault.message), hint: fault.hint.map(|hint| self.hide(&hint)), rpc, ..fault }
    }

    /// Nothing, where a value is no part of a string.
    fn hide_in_json(&self, data: Box<RawValue>) -> Option<Box<RawValue>> {
        let hidden = self.hide(data.get());
        if hidden == data.get() { Some(data) } else { RawValue::from_string(hidden).ok() }
    }
}

/// Where a text was cut in the middle of a value, its beginning still stands there.
fn without_beginnings(text: &str, value: &Value) -> String {
    let secret = value.text.expose();
    let parts = text.split('…').collect::<Vec<_>>();
    let (last, cut) = parts.split_last().expect("a split has a part");
    let mut whole = String::new();
    for part in cut {
        let ends = secret.char_indices().map(|(at, _)| at).filter(|at| *at >= SHORTEST).rev();
        let beginning = ends.map(|at| &secret[..at]).find(|beginning| part.ends_with(beginning));
        match beginning.and_then(|beginning| part.strip_suffix(beginning)) {
            Some(rest) => whole.extend([rest, value.placeholder.as_str(), "…"]),
            None => whole.extend([*part, "…"]),
        }
    }
    whole + last
}

/// How a value may stand in a text: as it is, each of its lines, quoted, as part of a URL and taken out of one, and as a URL that is
/// written as its like are.
fn writings(value: &str) -> Vec<String> {
    let mut writings = vec![value.to_owned(), format!("{value:?}").trim_matches('"').to_owned()];
    writings.extend(serde_json::to_string(value).map(|quoted| quoted.trim_matches('"').to_owned()));
    writings.extend(value.lines().map(|line| line.trim().to_owned()));
    writings.extend(percent_decode_str(value).decode_utf8().map(std::borrow::Cow::into_owned));
    if let Ok(mut url) = Url::parse("http://localhost") {
        url.set_path(value);
        writings.push(url.path().trim_start_matches('/').to_owned());
        url.set_query(Some(value));
        writings.extend(url.query().map(ToOwned::to_owned));
    }
    if let Ok(mut url) = Url::parse(value)
        && url.has_host()
    {
        writings.push(url.to_string());
        url.set_query(None);
        url.set_fragment(None);
        writings.push(url.to_string());
        // Fails only for URLs that can have none.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        writings.extend([url.to_string(), url.path().to_owned()]);
    }
    writings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hiding(values: &[(&str, &str)]) -> Secrets {
        let values = values.iter().flat_map(|(name, value)| {
            let placeholder = format!("${{{name}}}");
            writings(value)
                .into_iter()
                .map(move |text| Value { text: Secret::new(text), placeholder: placeholder.clone() })
        });
        Secrets(ArcSwap::from_pointee(values.collect()))
    }

    #[test]
    fn a_value_is_hidden_however_it_is_written() {
        let secrets = hiding(&[("TOKEN", "s e/\"cret")]);
        for text in ["no s e/\"cret", r#"no s e/\"cret"#, "no s%20e/%22cret"] {
            assert_eq!(secrets.hide(text), "no ${TOKEN}", "{text}");
        }
        let lines = hiding(&[("KEY", "first-line\nsecond-line")]);
        assert_eq!(lines.hide("got second-line"), "got ${KEY}");
    }

    #[test]
    fn a_value_that_was_cut_is_hidden_too() {
        let secrets = hiding(&[("TOKEN", "hunter2hunter2")]);
        assert_eq!(secrets.hide("said hunter2hun… and hunt…"), "said ${TOKEN}… and hunt…");
    }

    #[test]
    fn a_whole_address_is_hidden_without_what_was_cut_off_or_added() {
        let secrets = hiding(&[("URL", "https://me:word@Example.com/s3cret?key=1")]);
        for text in
            ["(https://example.com/s3cret)", "(https://example.com/s3cret?…)", "(https://me:word@Example.com/s3cret?…)"]
        {
            let shown = secrets.hide(text);
            assert!(!shown.contains("s3cret") && shown.contains("${URL}"), "{shown}");
        }
    }
}

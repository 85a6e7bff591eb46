//! Texts of files without the secrets that stand in them, and such a text with its secrets again.
//!
//! What may be a secret is left out by where it stands and how it looks; placeholders (`${VAR}`) are none. It comes back from the file as
//! it is now, at the same place, so that nothing of it is ever kept.

use std::sync::Arc;

use crate::document::format::Format;
use crate::document::node::{Node, Value};
use crate::document::parse::parse;
use crate::model::problem::{Source, Span};

/// What stands in place of a secret.
pub const HIDDEN: &str = "<hidden>";

/// Tables and keys whose values may be secrets, whatever they look like.
pub const SECRET_KEYS: [&str; 5] = ["env", "headers", "key", "client_secret", "private_key"];

/// Parts of names of keys and flags whose values are secrets.
const SECRET_WORDS: [&str; 7] = ["token", "secret", "password", "passwd", "credential", "api_key", "api-key"];

/// Words that stand beside a placeholder without being a secret, as `Bearer` does: no longer than this.
const LONGEST_SCHEME: usize = 16;

/// Literals of at least this length that look drawn at random are taken for secrets.
const SHORTEST_RANDOM: usize = 20;

/// `source` without its secrets; `None` if it cannot be read, or not be written without them.
pub fn redacted(source: &Arc<Source>) -> Option<String> {
    let format = Format::of(&source.name)?;
    let spans = secret_spans(&parse(source, format).ok()?, &|_| false);
    let without = |span: &Span| (whole(&source.text, span, format), format!("\"{HIDDEN}\""));
    let text = spliced(&source.text, spans.iter().map(without).collect());
    let root = parse(&Source::new(source.name.as_str(), text.as_str()), format).ok()?;
    secret_spans(&root, &|_| false).is_empty().then_some(text)
}

/// The redacted text `old` of a file with the secrets that the file has now. An error names the places for which it has none.
pub fn restored(old: &Arc<Source>, now: &Arc<Source>) -> Result<String, Vec<String>> {
    let format = Format::of(&old.name).ok_or_else(|| vec![old.name.clone()])?;
    let unreadable = |source: &Arc<Source>| vec![format!("{} cannot be read", source.name)];
    let root = parse(old, format).map_err(|_| unreadable(old))?;
    let mut hidden = Vec::new();
    hidden_in(&root, &mut Vec::new(), &mut hidden);
    if hidden.is_empty() {
        return Ok(old.text.clone());
    }
    let current = parse(now, format).map_err(|_| unreadable(now))?;
    let known = |path: &[String]| at(&current, path).filter(|node| is_known(&node.value));
    let missing: Vec<_> =
        hidden.iter().filter(|(path, _)| known(path).is_none()).map(|(path, _)| path.join(".")).collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    let with = |write: &dyn Fn(&Node) -> String| {
        let parts =
            hidden.iter().filter_map(|(path, span)| Some((whole(&old.text, span, format), write(known(path)?))));
        spliced(&old.text, parts.collect())
    };
    let is_right = |text: &String| {
        let root = parse(&Source::new(old.name.as_str(), text.as_str()), format);
        let value = |path: &[String]| at(root.as_ref().ok()?, path).map(|node| &node.value);
        hidden
            .iter()
            .all(|(path, _)| value(path).is_some_and(|value| Some(value) == known(path).map(|node| &node.value)))
    };
    // As it is written now, unless that says something else where it stood: the lines of a block do, indented otherwise.
    let as_written = |node: &Node| now.text.get(whole(&now.text, &node.span, format)).unwrap_or_default().to_owned();
    let plainly = |node: &Node| node.to_json().to_string();
    let text = Some(with(&as_written)).filter(is_right).or_else(|| Some(with(&plainly)).filter(is_right));
    text.ok_or_else(|| hidden.iter().map(|(path, _)| path.join(".")).collect())
}

/// Where secrets may stand; below keys of `more` names, whatever it is.
pub fn secret_spans(root: &Node, more: &dyn Fn(&str) -> bool) -> Vec<Span> {
    let mut found = Vec::new();
    secrets(root, false, more, &mut found);
    found
}

fn secrets(node: &Node, is_secret: bool, more: &dyn Fn(&str) -> bool, found: &mut Vec<Span>) {
    match &node.value {
        Value::Table(fields) => {
            for field in fields {
                secrets(&field.value, is_secret || is_secret_name(&field.key) || more(&field.key), more, found);
            }
        }
        Value::List(items) => {
            let mut follows_flag = false;
            for item in items {
                let text = if let Value::Text(text) = &item.value { text.as_str() } else { "" };
                secrets(item, is_secret || follows_flag, more, found);
                follows_flag = text.starts_with('-') && !text.contains('=') && is_secret_name(text);
            }
        }
        Value::Text(text) if !is_hidden(text) && is_literal(text) && (is_secret || looks_secret(text)) => {
            found.push(node.span.clone());
        }
        Value::Number(_) if is_secret => found.push(node.span.clone()),
        _ => {}
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_KEYS.contains(&name.as_str()) || SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Whether there is more to it than placeholders and the name of a scheme.
fn is_literal(text: &str) -> bool {
    let mut rest = String::new();
    let mut left = text;
    while let Some((before, after)) = left.split_once("${") {
        rest.push_str(before);
        left = after.split_once('}').map_or("", |(_, after)| after);
    }
    rest.push_str(left);
    let is_scheme = rest.len() < text.len() && rest.len() <= LONGEST_SCHEME;
    !(is_scheme && rest.chars().all(|c| c.is_ascii_alphabetic() || c == ' ' || c == ':'))
}

fn looks_secret(text: &str) -> bool {
    let last_word = |text: &str| text.split_whitespace().last().is_some_and(is_secret_name);
    let named = text.split_once('=').is_some_and(|(name, value)| last_word(name) && !value.is_empty());
    let in_address = text.split_whitespace().filter_map(|word| word.split_once("://")).any(|(_, rest)| {
        // What ends a sentence is no query.
        rest.trim_end_matches(|c: char| c.is_ascii_punctuation()).contains(['@', '?'])
    });
    let is_one_word = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-+=".contains(c));
    let is_mixed = text.chars().any(|c| c.is_ascii_digit()) && text.chars().any(|c| c.is_ascii_alphabetic());
    named || in_address || (text.len() >= SHORTEST_RANDOM && is_one_word && is_mixed)
}

fn hidden_in(node: &Node, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, Span)>) {
    match &node.value {
        Value::Table(fields) => {
            for field in fields {
                path.push(field.key.clone());
                hidden_in(&field.value, path, found);
                path.pop();
            }
        }
        Value::List(items) => {
            for (place, item) in items.iter().enumerate() {
                path.push(place.to_string());
                hidden_in(item, path, found);
                path.pop();
            }
        }
        Value::Text(text) if is_hidden(text) => found.push((path.clone(), node.span.clone())),
        _ => {}
    }
}

/// Whether something was left out here, in whichever way the text is quoted.
fn is_hidden(text: &str) -> bool {
    text.trim().trim_matches('"') == HIDDEN
}

/// Whether it can stand where something was left out.
fn is_known(value: &Value) -> bool {
    matches!(value, Value::Number(_)) || matches!(value, Value::Text(text) if !is_hidden(text))
}

/// Where all of a scalar is: the place of a YAML block scalar is that of its lines, without the `|` or `>` before them.
fn whole(text: &str, span: &Span, format: Format) -> Span {
    let begin = if format == Format::Yaml { block(text.get(..span.start).unwrap_or_default()) } else { None };
    let Some(start) = begin else { return span.clone() };
    start..start + text.get(start..span.end).unwrap_or_default().trim_end().len()
}

/// Where the block scalar begins whose first line comes after `before`, if it is one.
fn block(before: &str) -> Option<usize> {
    let (lines, indent) = before.rsplit_once('\n')?;
    let line = lines.trim_end().rsplit('\n').next().filter(|_| indent.trim().is_empty())?;
    let end = lines.trim_end().len();
    let starts = line.char_indices().filter(|(at, c)| {
        let is_first = line.get(..*at).is_none_or(|before| before.is_empty() || before.ends_with([' ', '\t']));
        matches!(c, '|' | '>') && is_first
    });
    let is_header = |at: &usize| {
        let rest = line.get(at + 1..).unwrap_or_default();
        let rest = rest.trim_start_matches(|c: char| c == '-' || c == '+' || c.is_ascii_digit());
        rest.trim().is_empty() || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'))
    };
    starts.map(|(at, _)| at).find(is_header).map(|at| end - line.len() + at)
}

fn at<'a>(root: &'a Node, path: &[String]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, part| match &node.value {
        Value::Table(fields) => fields.iter().find(|field| field.key == *part).map(|field| &field.value),
        Value::List(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// `text` with others in place of these parts of it. A part that is repeated elsewhere (`*anchor`) is replaced where it stands, once.
fn spliced(text: &str, mut parts: Vec<(Span, String)>) -> String {
    parts.sort_by_key(|(span, _)| span.start);
    let mut whole = String::new();
    let mut next = 0;
    for (span, other) in parts.into_iter().filter(|(span, _)| !span.is_empty()) {
        if span.start < next {
            continue;
        }
        whole.push_str(text.get(next..span.start).unwrap_or_default());
        whole.push_str(&other);
        next = span.end;
    }
    whole + text.get(next..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"[servers.a]
command = "npx"
args = ["-y", "@scope/server", "--token", "hunter1", "--api-key=hunter2", "ghp16C7e42F292c6912E7710c8"]
env = { PLAIN = "hunter3", GIVEN = "${TOKEN}", PORT = 8080 }
[servers.b]
url = "https://me:hunter4@example.com/mcp?key=hunter5"
headers = { Authorization = "Bearer ${B}", Other = 'Bearer hunter6' }
"#;

    #[test]
    fn no_secret_is_left_and_each_comes_back_from_where_it_stands() {
        let now = Source::new("registry.toml", TEXT);
        let hidden = redacted(&now).expect("a registry");
        assert!(!hidden.contains("hunter") && !hidden.contains("ghp16") && !hidden.contains("8080"), "{hidden}");
        for kept in ["@scope/server", "${TOKEN}", "Bearer ${B}", "\"-y\"", "\"--token\""] {
            assert!(hidden.contains(kept), "{kept}: {hidden}");
        }
        let old = Source::new("registry.toml", hidden.replace("npx", "node"));
        assert_eq!(restored(&old, &now).expect("all is there"), TEXT.replace("npx", "node"));
        let less = Source::new("registry.toml", TEXT.replace("PLAIN", "OTHER"));
        assert_eq!(restored(&old, &less).expect_err("one is missing"), ["servers.a.env.PLAIN"]);
    }

    const FLOW: &str = r#"description: "Search. See https://example.com. Is it old? Yes: the token count matters, x = 5"
steps:
  - id: a
    tool: web.fetch
    with:
      prompt: | # Look here.

        Fetch https://example.com/find?key=hunter1
          and https://example.com/more?key=hunter1.

      folded: >-
        https://me:hunter2@example.com
      list:
        - |2+
            https://example.com/?key=hunter3

        - plain https://example.com/?key=hunter4
        - &again |
          https://example.com/?key=hunter5
        - *again
  - { id: b, set: "Have you seen https://example.com?" }"#;

    #[test]
    fn blocks_of_text_come_back_as_they_were() {
        let now = Source::new("flow.yaml", FLOW);
        let hidden = redacted(&now).expect("a workflow");
        assert!(!hidden.contains("hunter"), "{hidden}");
        assert!(hidden.contains("Is it old?") && hidden.contains("Have you seen"), "no secrets: {hidden}");
        let old = Source::new("flow.yaml", hidden.replace("web.fetch", "web.get"));
        assert_eq!(restored(&old, &now).expect("all is there"), FLOW.replace("web.fetch", "web.get"));
    }

    #[test]
    fn a_text_that_is_now_written_in_another_way_comes_back_as_the_same_text() {
        let old = Source::new("flow.yaml", "a: \"<hidden>\"\nb: 1\n");
        let now = "a: |2\n    https://x.test/?k=1\n   b\n";
        for text in [now.to_owned(), now.replace("a:", "- 1").replace("- 1", "a:\n ")] {
            let now = Source::new("flow.yaml", text.as_str());
            let back = restored(&old, &now).expect("it is there");
            let value =
                |text: &str| parse(&Source::new("flow.yaml", text), Format::Yaml).expect("YAML").to_json()["a"].clone();
            assert_eq!(value(&back), value(&text), "{back}");
        }
        // Kept by the first version, which left the `|` in place.
        let old = Source::new("flow.yaml", "a: |\n  \"<hidden>\"\nb: 1\n");
        let back = restored(&old, &Source::new("flow.yaml", "a: 'https://x.test/?k=1'\n")).expect("it is there");
        assert_eq!(back, "a: 'https://x.test/?k=1'\nb: 1\n");
        let why = restored(&old, &Source::new("flow.yaml", "a: <hidden>\n")).expect_err("nothing is known");
        assert_eq!(why, ["a"]);
    }
}

//! Text with `${…}` placeholders, checked when a file is loaded, filled in only when a server is started.
//!
//! Known are `${VAR}`, `${VAR:-default}` (also if `VAR` is empty), `${env:VAR}`, `${file:PATH}` and `${userHome}`.
//! `$${` stands for a literal `${`; a `$` before anything else is itself.

use std::fmt;

use crate::model::secret::Secret;

/// Text that may hold placeholders. Shown as it was written, never filled in.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    written: String,
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable { name: String, default: Option<String> },
    File(String),
}

/// Where values come from.
pub trait Variables {
    /// The value of an environment variable, if it is set.
    fn env(&self, name: &str) -> Option<String>;

    /// The whole text of the file at `path`, or why it cannot be read.
    fn file(&self, path: &str) -> Result<String, String>;
}

/// A placeholder that has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unset {
    /// The placeholder, such as `${GITHUB_TOKEN}`.
    pub reference: String,
    /// Why it has no value.
    pub why: String,
}

impl fmt::Display for Unset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` has no value: {}", self.reference, self.why)
    }
}

impl std::error::Error for Unset {}

/// Why text is wrong. Quotes names, never defaults or other literal parts: those may be secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadText {
    /// What is wrong.
    pub why: String,
    /// What to write instead.
    pub help: String,
}

impl Text {
    /// Checks `written` and takes it apart.
    pub fn parse(written: &str) -> Result<Self, BadText> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = written;
        while let Some(at) = rest.find("${") {
            let (before, after) = (&rest[..at], &rest[at + 2..]);
            if let Some(before) = before.strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = after;
                continue;
            }
            literal.push_str(before);
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            let Some(end) = after.find('}') else {
                return Err(BadText {
                    why: "a `${` without a `}`".to_owned(),
                    help: "close it, or write `$${` for a literal `${`".to_owned(),
                });
            };
            parts.push(placeholder(&after[..end])?);
            rest = &after[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { written: written.to_owned(), parts })
    }

    /// Text without placeholders, whatever it looks like.
    pub fn literal(text: &str) -> Self {
        Self { written: text.replace("${", "$${"), parts: vec![Part::Literal(text.to_owned())] }
    }

    /// The text with every placeholder replaced by its value.
    pub fn expand(&self, variables: &dyn Variables) -> Result<Secret<String>, Unset> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Variable { name, default } => {
                    let value = variables.env(name);
                    let value = match default {
                        Some(default) => {
                            Some(value.filter(|value| !value.is_empty()).unwrap_or_else(|| default.clone()))
                        }
                        None => value,
                    };
                    text.push_str(&value.ok_or_else(|| Unset {
                        reference: format!("${{{name}}}"),
                        why: format!("the environment variable `{name}` is not set"),
                    })?);
                }
                Part::File(path) => {
                    let content =
                        variables.file(path).map_err(|why| Unset { reference: format!("${{file:{path}}}"), why })?;
                    text.push_str(content.strip_suffix('\n').map_or(&*content, |line| line.trim_end_matches('\r')));
                }
            }
        }
        Ok(Secret::new(text))
    }

    /// The values that its placeholders stand for, by what they name; not those that are written in the file.
    pub fn given<'a>(&'a self, variables: &'a dyn Variables) -> impl Iterator<Item = (String, Secret<String>)> + 'a {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Variable { name, .. } => Some((name.clone(), Secret::new(variables.env(name)?))),
            Part::File(path) => {
                Some((format!("file:{path}"), Secret::new(variables.file(path).ok()?.trim_end().to_owned())))
            }
        })
    }

    /// Whether it is the same whatever the environment.
    pub fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// What its placeholders name: variables, and files as `file:PATH`.
    pub fn placeholders(&self) -> impl Iterator<Item = String> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Variable { name, .. } => Some(name.clone()),
            Part::File(path) => Some(format!("file:{path}")),
        })
    }

    /// As it stands in the file.
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The literal text before the first placeholder.
    pub fn literal_prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(literal)) => literal,
            _ => "",
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.written, f)
    }
}

fn placeholder(inside: &str) -> Result<Part, BadText> {
    if inside == "userHome" {
        return Ok(Part::Variable { name: "HOME".to_owned(), default: None });
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (inside, None),
    };
    match name.split_once(':') {
        Some(("file", path)) if !path.is_empty() && default.is_none() => Ok(Part::File(path.to_owned())),
        Some(("env", name)) if is_variable(name) => Ok(Part::Variable { name: name.to_owned(), default }),
        Some((kind @ ("secret" | "input" | "cmd" | "command"), what)) => Err(unsupported(kind, what)),
        None if matches!(name, "workspaceFolder" | "workspaceFolderBasename" | "workspaceRoot") => Err(BadText {
            why: format!("`${{{name}}}` is not supported: there is no workspace here"),
            help: "write the path, or use a variable such as `${PROJECT}`".to_owned(),
        }),
        None if is_variable(name) => Ok(Part::Variable { name: name.to_owned(), default }),
        _ => Err(BadText {
            why: "a `${…}` that is no variable".to_owned(),
            help: "write `${VAR}`, `${VAR:-default}`, `${env:VAR}` or `${file:PATH}`; `$${` is a literal `${`"
                .to_owned(),
        }),
    }
}

fn unsupported(kind: &str, what: &str) -> BadText {
    let variable: String = what
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' })
        .collect();
    let variable = if is_variable(&variable) { variable } else { "VAR".to_owned() };
    BadText {
        why: format!("`${{{kind}:…}}` is not supported yet"),
        help: format!("use `${{{variable}}}` and set `{variable}` in the environment"),
    }
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests;

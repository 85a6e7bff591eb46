//! What each code means, at length: for `explain`, and for the reference in `docs/errors.md`, which is made of the same text.

use std::fmt::Write as _;

use crate::model::code::{ALL, Code};
use crate::model::suggest;

/// One section for each code, in their order: why, an example, what to do.
const TEXT: &str = include_str!("explanations.md");

/// How the sections begin.
const HEADING: &str = "## ";

/// The groups of codes, by how their codes begin.
const GROUPS: [(&str, &str); 5] =
    [("MO1", "Files"), ("MO2", "Workflow files"), ("MO3", "Advice"), ("MO4", "Runs"), ("MO5", "Calls")];

/// A code with all that is said about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The code.
    pub code: Code,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// Why, an example, and what to do, as Markdown.
    pub text: &'static str,
}

/// Every code, in order.
pub fn all() -> impl Iterator<Item = Explanation> {
    ALL.iter().map(|(code, meaning)| Explanation { code: *code, meaning: meaning.trim(), text: text(*code) })
}

/// The code that `word` names, in any case, with or without its letters; or else the nearest one's name.
pub fn find(word: &str) -> Result<Explanation, Option<&'static str>> {
    let wanted = word.trim().to_uppercase();
    let wanted = if wanted.starts_with(|first: char| first.is_ascii_digit()) { format!("MO{wanted}") } else { wanted };
    all()
        .find(|one| one.code.as_str() == wanted)
        .ok_or_else(|| suggest::nearest(&wanted, ALL.iter().map(|(code, _)| code.as_str())))
}

/// The whole as a page of Markdown.
pub fn page() -> String {
    let mut page = "# Codes\n\nEvery problem and fault has a stable code; `mcp-orchestrator explain CODE` says the same as this page.\n"
        .to_owned();
    for (start, title) in GROUPS {
        let _ = write!(page, "\n## {title}\n");
        for Explanation { code, meaning, text } in all().filter(|one| one.code.as_str().starts_with(start)) {
            let _ = write!(page, "\n### {code}\n\n**{meaning}** {text}\n");
        }
    }
    page
}

/// The section of a code; empty if there is none, which a test does not let happen.
fn text(code: Code) -> &'static str {
    sections().find(|(name, _)| *name == code.as_str()).map_or("", |(_, text)| text)
}

fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    let sections = TEXT.strip_prefix(HEADING).unwrap_or(TEXT).split("\n## ");
    sections.map(|section| section.split_once('\n').map_or((section, ""), |(name, text)| (name.trim(), text.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::code;

    #[test]
    fn every_code_is_explained_with_an_example_and_what_to_do() {
        let codes: Vec<_> = ALL.iter().map(|(code, _)| code.as_str()).collect();
        let named: Vec<_> = sections().map(|(name, _)| name).collect();
        assert_eq!(named, codes, "src/model/explanations.md has a section for each code, in their order");
        for one in all() {
            let whole = format!("{}: {}", one.code, one.text);
            assert!(one.text.matches("```").count() == 2, "an example is missing: {whole}");
            assert!(one.text.contains("\nWhat to do: "), "what to do is missing: {whole}");
            assert!(!one.text.starts_with("```"), "the reason is missing: {whole}");
            assert!(GROUPS.iter().any(|(start, _)| one.code.as_str().starts_with(start)), "{whole}");
        }
    }

    #[test]
    fn a_code_is_found_however_it_is_written() {
        for word in ["MO2004", "mo2004", " 2004 "] {
            assert_eq!(find(word).expect("a code").code, code::UNKNOWN_STEP);
        }
        assert_eq!(find("MO2094"), Err(Some("MO2004")));
        assert_eq!(find("nonsense"), Err(None));
    }
}

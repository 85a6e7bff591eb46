//! "Did you mean": the near names among the known ones.

/// The known name nearest to `wanted`, if it is near enough to be a slip of the hand.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = wanted.to_lowercase();
    known
        .into_iter()
        .filter(|name| *name != wanted)
        .filter_map(|name| Some((distance(&folded, &name.to_lowercase())?, name)))
        .min()
        .map(|(_, name)| name)
}

/// ``did you mean `x`?``, or nothing.
pub fn did_you_mean<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(wanted, known).map(|name| format!("did you mean `{name}`?"))
}

/// The edit distance if it is at most a third of the longer name (at least one edit); a prefix of three or more
/// letters counts as near, too.
fn distance(wanted: &str, name: &str) -> Option<usize> {
    let edits = strsim::damerau_levenshtein(wanted, name);
    let allowed = (wanted.chars().count().max(name.chars().count()) / 3).max(1);
    if edits <= allowed {
        return Some(edits);
    }
    (wanted.len() >= 3 && name.starts_with(wanted)).then_some(allowed + edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let known = ["summarize", "search", "set"];
        assert_eq!(nearest("sumarize", known), Some("summarize"));
        assert_eq!(nearest("Search", known), Some("search"));
        assert_eq!(nearest("summ", known), Some("summarize"));
        assert_eq!(nearest("wholly_other", known), None);
        assert_eq!(nearest("set", known), None, "the name itself is not a suggestion");
    }
}

//! Legal names for what has an illegal one.

/// The legal server or tool name nearest to `name`: 1 to 64 of `[A-Za-z0-9_-]`.
pub fn legal_name(name: &str) -> String {
    let mut legal = String::new();
    for letter in name.chars() {
        let letter = if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
        // One mark stands for a run of illegal letters, and none for one at the edge.
        if letter != '_' || !(legal.is_empty() || legal.ends_with('_')) {
            legal.push(letter);
        }
    }
    legal.truncate(64);
    let legal = legal.trim_matches(['-', '_']);
    if legal.is_empty() { "server".to_owned() } else { legal.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::is_server_name;

    #[test]
    fn every_name_has_a_legal_one_near() {
        let long = "x".repeat(99);
        for (name, legal) in [
            ("my server", "my_server"),
            ("io.github/foo", "io_github_foo"),
            (" (beta) ", "beta"),
            ("--x--", "x"),
            ("äö", "server"),
            ("", "server"),
            (long.as_str(), &long[..64]),
        ] {
            assert_eq!(legal_name(name), legal);
            assert!(is_server_name(legal));
        }
    }
}

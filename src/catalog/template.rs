//! Whether a URI fits an RFC 6570 template: enough to route a read, not to extract variables.

/// Whether `uri` may be an expansion of `template`. A simple expression (`{id}`) stands for one or more characters other
/// than `/`; one with an operator or an explode (`{+path}`, `{/path*}`, `{?query}`) for anything.
pub fn fits(template: &str, uri: &str) -> bool {
    let Some((literal, rest)) = template.split_once('{') else { return template == uri };
    let Some(uri) = uri.strip_prefix(literal) else { return false };
    let Some((expression, rest)) = rest.split_once('}') else { return false };
    let is_simple =
        expression.starts_with(|first: char| first.is_alphanumeric() || first == '_') && !expression.ends_with('*');
    let longest = if is_simple { uri.find('/').unwrap_or(uri.len()) } else { uri.len() };
    let shortest = usize::from(is_simple);
    // A URI is short and a template has few expressions, so trying each end is cheap.
    (shortest..=longest).rev().filter(|end| uri.is_char_boundary(*end)).any(|end| fits(rest, &uri[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_fits_its_template_only() {
        assert!(fits("file:///{name}.txt", "file:///notes.txt"));
        assert!(!fits("file:///{name}.txt", "file:///a/notes.txt"));
        assert!(fits("file:///{+path}", "file:///a/b/c"));
        assert!(fits("db://{table}/rows{?limit}", "db://users/rows?limit=3"));
        assert!(fits("db://{table}/rows{?limit}", "db://users/rows"));
        assert!(fits("demo://static", "demo://static"));
        for wrong in ["db://users", "db:///rows", "x"] {
            assert!(!fits("db://{table}/rows{?limit}", wrong), "{wrong}");
        }
        assert!(!fits("broken://{x", "broken://y"));
    }
}

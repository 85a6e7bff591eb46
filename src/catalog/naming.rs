//! The names under which hosts see the tools and prompts of servers.

/// Between server and tool.
pub const SEPARATOR: &str = "__";

/// The longest name: the 64 that hosts allow, less what they put in front (`mcp__orchestrator__`).
pub const MAX_LENGTH: usize = 46;

/// Length of the mark that tells shortened or altered names apart, underscore included.
const MARK: usize = 7;

/// The name of `tool` of `server`: `server__tool` where that is unmistakable, otherwise shortened or altered and marked with
/// a hash of the two, so that it stays the same across restarts and whatever other servers there are.
///
/// `server__tool` is unmistakable if both parts consist of `[A-Za-z0-9_-]`, fit into [`MAX_LENGTH`], and the first `__` is
/// the separator.
pub fn exposed(server: &str, tool: &str) -> String {
    let is_plain = |part: &str| part.bytes().all(is_allowed);
    let name = format!("{server}{SEPARATOR}{tool}");
    let is_clear = !server.contains(SEPARATOR) && !server.ends_with('_');
    if is_clear && is_plain(server) && is_plain(tool) && name.len() <= MAX_LENGTH {
        return name;
    }
    marked(server, tool)
}

/// The name of `tool` of `server` with its mark, for when the plain one is taken.
pub fn marked(server: &str, tool: &str) -> String {
    let name = format!("{server}{SEPARATOR}{tool}");
    let mut altered: String = name.bytes().map(|byte| if is_allowed(byte) { char::from(byte) } else { '_' }).collect();
    altered.truncate(MAX_LENGTH - MARK);
    let hash = fnv(format!("{server}\0{tool}").as_bytes()) & 0xff_ffff;
    format!("{altered}_{hash:06x}")
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// FNV-1a, 64 bit: small, and the same in every version of the program.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_name_is_server_and_tool() {
        assert_eq!(exposed("github", "search_code"), "github__search_code");
        assert_eq!(exposed("a", "b__c"), "a__b__c");
    }

    #[test]
    fn what_could_be_mistaken_is_marked() {
        assert_ne!(exposed("a", "b__c"), exposed("a__b", "c"));
        assert_ne!(exposed("a", "_b"), exposed("a_", "b"));
        assert_eq!(exposed("git", "repo.list"), "git__repo_list_720431");
        assert_eq!(exposed("git", &"x".repeat(90)).len(), MAX_LENGTH);
    }

    proptest! {
        #[test]
        fn every_name_is_legal_and_different_pairs_have_different_names(
            a in ("[a-z_]{1,6}", "[a-z_.:é-]{1,8}"), b in ("[a-z_]{1,6}", "[a-z_.:é-]{1,8}")
        ) {
            let (first, second) = (exposed(&a.0, &a.1), exposed(&b.0, &b.1));
            prop_assert!(first.len() <= MAX_LENGTH && first.bytes().all(is_allowed));
            prop_assert_eq!(a == b, first == second);
        }
    }
}

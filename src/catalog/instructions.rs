//! One text of advice to models, made of every server's.

use std::fmt::Write as _;

use crate::wire::envelope::bounded;

/// The longest merged text, in bytes: some hosts cut beyond two kilobytes.
pub const MAX_BYTES: usize = 1_900;

/// The program's own advice, then each server's under its name, each cut to a fair share of what is left.
pub fn merged(own: &str, servers: &[(&str, &str)]) -> String {
    let mut text = bounded(own, MAX_BYTES);
    for (position, (server, advice)) in servers.iter().enumerate() {
        let heading = format!("\n\n## {server}\n");
        let share = MAX_BYTES.saturating_sub(text.len()) / (servers.len() - position);
        let Some(room) = share.checked_sub(heading.len()).filter(|room| *room >= 40) else { continue };
        let _ = write!(text, "{heading}{}", bounded(advice.trim(), room));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_gets_its_share_and_the_whole_stays_short() {
        let long = "x".repeat(5_000);
        let text = merged("Prefer workflows.", &[("a", &long), ("b", "Short."), ("c", &long)]);
        assert!(text.len() <= MAX_BYTES, "{}", text.len());
        assert!(
            text.starts_with("Prefer workflows.\n\n## a\nxxx")
                && text.contains("## b\nShort.")
                && text.contains("## c\n")
        );
    }

    #[test]
    fn too_many_servers_are_left_out_rather_than_cut_to_nothing() {
        let many: Vec<_> =
            (0..200).map(|_| ("server", "some advice that is worth reading, if there is room")).collect();
        assert!(merged("Own.", &many).len() <= MAX_BYTES);
    }
}

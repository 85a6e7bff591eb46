//! What changes between two texts, as a unified diff.

use std::fmt::Write as _;

/// Lines around a change that are shown, too.
const AROUND: usize = 3;

/// Beyond so many comparisons the changed part is shown as removed and added as a whole.
const MAX_COMPARISONS: usize = 4_000_000;

/// One line of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'t> {
    Same(&'t str),
    Old(&'t str),
    New(&'t str),
}

/// The unified diff from `old` to `new` of the file `name`; empty if they are the same.
pub fn unified(name: &str, old: &str, new: &str) -> String {
    let lines = compare(&old.lines().collect::<Vec<_>>(), &new.lines().collect::<Vec<_>>());
    let changed: Vec<_> = (0..lines.len()).filter(|&at| !matches!(lines[at], Line::Same(_))).collect();
    if changed.is_empty() {
        return String::new();
    }
    let mut diff = format!("--- {name}\n+++ {name}\n");
    let mut rest = changed.as_slice();
    while let [first, ..] = rest {
        let gap = rest.windows(2).position(|pair| pair[1] - pair[0] > 2 * AROUND).unwrap_or(rest.len() - 1);
        let (start, end) = (first.saturating_sub(AROUND), (rest[gap] + AROUND + 1).min(lines.len()));
        hunk(&lines, start, end, &mut diff);
        rest = &rest[gap + 1..];
    }
    diff
}

fn hunk(lines: &[Line<'_>], start: usize, end: usize, diff: &mut String) {
    let count = |lines: &[Line<'_>], is_new: bool| {
        lines.iter().filter(|line| !matches!((line, is_new), (Line::Old(_), true) | (Line::New(_), false))).count()
    };
    let (before, inside) = (&lines[..start], &lines[start..end]);
    let range = |is_new| format!("{},{}", count(before, is_new) + 1, count(inside, is_new));
    let _ = writeln!(diff, "@@ -{} +{} @@", range(false), range(true));
    for line in inside {
        let _ = match line {
            Line::Same(text) => writeln!(diff, " {text}"),
            Line::Old(text) => writeln!(diff, "-{text}"),
            Line::New(text) => writeln!(diff, "+{text}"),
        };
    }
}

fn compare<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Line<'t>> {
    let head = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old_middle, new_middle) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let mut lines: Vec<_> = old[..head].iter().map(|text| Line::Same(text)).collect();
    if old_middle.len().saturating_mul(new_middle.len()) > MAX_COMPARISONS {
        lines.extend(old_middle.iter().map(|text| Line::Old(text)));
        lines.extend(new_middle.iter().map(|text| Line::New(text)));
    } else {
        align(old_middle, new_middle, &mut lines);
    }
    lines.extend(old_rest[old_rest.len() - tail..].iter().map(|text| Line::Same(text)));
    lines
}

/// By the longest common subsequence.
fn align<'t>(old: &[&'t str], new: &[&'t str], lines: &mut Vec<Line<'t>>) {
    let mut longest = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for (i, one) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            longest[i][j] =
                if one == other { longest[i + 1][j + 1] + 1 } else { longest[i + 1][j].max(longest[i][j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Same(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            lines.push(Line::Old(old[i]));
            i += 1;
        } else {
            lines.push(Line::New(new[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_what_is_around_it() {
        let old: String = (1..=20).flat_map(|line| [line.to_string(), "\n".to_owned()]).collect();
        let new = old.replace("2\n3\n", "2\nthree\n").replace("\n19\n", "\n");
        let expected = "--- f\n+++ f\n@@ -1,6 +1,6 @@\n 1\n 2\n-3\n+three\n 4\n 5\n 6\n\
                        @@ -16,5 +16,4 @@\n 16\n 17\n 18\n-19\n 20\n";
        assert_eq!(unified("f", &old, &new), expected);
        assert_eq!(unified("f", &old, &old), "");
    }
}

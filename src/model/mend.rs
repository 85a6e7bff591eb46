//! Text with patches put in. Patches are text edits, so comments and layout survive.

use crate::model::problem::Patch;

/// `text` with as many of `patches` as do not touch each other and as `is_fine` lets pass, with the places of those that
/// were put in. Works backwards, so that the places of what is still to come stay true.
pub fn mend(text: &str, patches: &[&Patch], is_fine: impl Fn(&str) -> bool) -> (String, Vec<usize>) {
    let mut order: Vec<usize> = (0..patches.len()).collect();
    order.sort_by_key(|&place| (patches[place].span.start, patches[place].span.end));
    let mut mended = text.to_owned();
    let mut done = Vec::new();
    let mut free_until = text.len() + 1;
    for place in order.into_iter().rev() {
        let Patch { span, replacement } = patches[place];
        let is_news = text.get(span.clone()).is_some_and(|old| old != replacement);
        let is_free = span.end < free_until || (span.end == free_until && !span.is_empty());
        if !is_news || !is_free {
            continue;
        }
        let mut next = mended.clone();
        next.replace_range(span.clone(), replacement);
        if is_fine(&next) {
            mended = next;
            free_until = span.start;
            done.push(place);
        }
    }
    done.reverse();
    (mended, done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(span: std::ops::Range<usize>, replacement: &str) -> Patch {
        Patch { span, replacement: replacement.to_owned() }
    }

    #[test]
    fn patches_keep_their_places_whatever_their_order() {
        let (first, second) = (patch(0..1, "one"), patch(4..5, ""));
        assert_eq!(mend("a b c", &[&second, &first], |_| true), ("one b ".to_owned(), vec![1, 0]));
    }

    #[test]
    fn what_overlaps_changes_nothing_or_is_refused_stays_out() {
        let patches = [patch(0..3, "x"), patch(2..4, "y"), patch(2..4, "z"), patch(5..6, "f"), patch(6..7, "!")];
        let all: Vec<_> = patches.iter().collect();
        let (text, done) = mend("abcdefg", &all, |text| !text.contains('!'));
        assert_eq!((text.as_str(), done), ("abzefg", vec![2]));
    }
}

//! "Did you mean": the known word nearest to a mistyped one.

use alloc::vec::Vec;

/// The word that `text` was most likely meant to be, if one is near enough: up to a third of its
/// letters wrong, missing, too many or swapped with a neighbour. The first of equally near ones.
pub(crate) fn nearest<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text: Vec<char> = text.chars().take(64).map(|c| c.to_ascii_lowercase()).collect();
    let mut best: Option<(usize, &str)> = None;
    for word in words {
        let letters: Vec<char> = word.chars().map(|c| c.to_ascii_lowercase()).collect();
        let allowed = letters.len().max(text.len()).div_ceil(3).min(4);
        if letters.len().abs_diff(text.len()) > allowed {
            continue;
        }
        let distance = distance(&text, &letters);
        if distance <= allowed && distance < letters.len() && best.is_none_or(|b| distance < b.0) {
            best = Some((distance, word));
        }
    }
    best.map(|(_, word)| word)
}

/// Edits from one word to the other; a swap of neighbours is one, and so is `-` for `_`.
fn distance(a: &[char], b: &[char]) -> usize {
    let dash = |c: char| if c == '-' { '_' } else { c };
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let same = usize::from(dash(*x) != dash(*y));
            let mut cost = (last[j] + same).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let words = ["source", "destination", "initial_size", "processes", "app"];
        for (text, word) in [
            ("sorce", Some("source")),
            ("detsination", Some("destination")),
            ("initial-size", Some("initial_size")),
            ("initialsize", Some("initial_size")),
            ("process", Some("processes")),
            ("Source", Some("source")),
            ("size", None),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, words), word, "{text}");
        }
    }
}

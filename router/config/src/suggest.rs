//! "Did you mean …?"

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Returns ` (did you mean "…"?)` with the word nearest to `word`, or an empty text if none is near.
pub(crate) fn did_you_mean(word: &str, known: &mut dyn Iterator<Item = &str>) -> String {
    let nearest = known
        .map(|k| (distance(word, k), k))
        .min_by_key(|&(d, _)| d);
    match nearest {
        Some((distance, known)) if distance <= 1 + word.len() / 4 => {
            format!(" (did you mean \"{known}\"?)")
        }
        _ => String::new(),
    }
}

/// Returns the edit distance of two words: the number of letters to change, add, remove, or swap
/// with the next one. Long words are far from everything.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 32 || b.len() > 32 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, x) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (j, &y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut cost = (at(&row, j) + usize::from(x != y))
                .min(at(&row, j + 1) + 1)
                .min(at(&next, j) + 1);
            if j > 0 && previous == Some(y) && b.get(j - 1) == Some(&x) {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            next.push(cost);
        }
        before = core::mem::replace(&mut row, next);
        previous = Some(x);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found() {
        let known = ["vif", "mac", "address", "mtu"];
        for (word, wanted) in [
            ("adress", "address"),
            ("addresses", "address"),
            ("vfi", "vif"),
            ("mtú", "mtu"),
            ("MTU", ""),
            ("colour", ""),
        ] {
            let hint = did_you_mean(word, &mut known.into_iter());
            if wanted.is_empty() {
                assert_eq!(hint, "", "{word}");
            } else {
                assert!(hint.contains(wanted), "{word}: {hint}");
            }
        }
        assert_eq!(did_you_mean(&"x".repeat(1000), &mut known.into_iter()), "");
    }
}

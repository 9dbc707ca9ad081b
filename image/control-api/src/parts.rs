//! Splitting of texts that exceed the maximum length of a value in xenstore.

/// The maximum length of a part, in bytes.
///
/// Both xenstored's limit what a domain writes to 2,048 bytes by default (`quota-maxsize`,
/// `quota_max_entry_size`). C xenstored counts a header and the key's permissions with it, which
/// need 40 bytes where one other domain may read the key.
pub const MAX_PART_LEN: usize = 2000;

/// Splits a text into parts that each fit a value, in order; an empty text has none. Characters
/// aren't split, so each part is valid UTF-8.
pub fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (part, after) = rest.split_at(rest.floor_char_boundary(MAX_PART_LEN));
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::String;
    use std::vec::Vec;

    use super::{MAX_PART_LEN, parts};

    #[test]
    fn parts_are_whole_and_as_long_as_may_be() {
        for (len, count) in [
            (0, 0),
            (1, 1),
            (MAX_PART_LEN, 1),
            (MAX_PART_LEN + 1, 2),
            (3 * MAX_PART_LEN, 3),
            (3 * MAX_PART_LEN + 7, 4),
        ] {
            let text: String = ('a'..='z').cycle().take(len).collect();
            let cut: Vec<&str> = parts(&text).collect();
            assert_eq!(cut.len(), count, "{len}");
            assert_eq!(cut.concat(), text);
            let short = cut.iter().filter(|part| part.len() < MAX_PART_LEN);
            assert!(short.count() <= 1);
        }
    }

    #[test]
    fn no_character_is_cut() {
        for character in ["é", "€", "🦀"] {
            for shift in 0..character.len() {
                let text = "x".repeat(shift) + &character.repeat(MAX_PART_LEN);
                assert_eq!(parts(&text).collect::<String>(), text);
                let short = parts(&text).filter(|part| part.len() + 4 <= MAX_PART_LEN);
                assert!(short.count() <= 1, "only the last one");
                assert!(parts(&text).all(|part| part.len() <= MAX_PART_LEN));
            }
        }
    }
}

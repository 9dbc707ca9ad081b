//! The tables `[[route]]` of a file, apart from the rest.
//!
//! A table goes from its header to the next one. A header is a line that begins with a bracket, but in
//! an array or in a text of several lines; what is wrong with a line doesn't matter here, as long as it
//! is found by who reads the piece that it is in.

use alloc::vec::Vec;

use crate::toml_table::Piece;

/// Bytes of routes that are read at once, as far as they are whole.
const AT_ONCE: usize = 8 * 1024;

/// A file in pieces.
pub(super) struct Pieces<'a> {
    /// All but the routes.
    pub(super) rest: Vec<Piece<'a>>,
    /// Routes alone.
    pub(super) routes: Vec<Piece<'a>>,
}

/// What a line begins in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Nothing, or as many arrays and tables in one another.
    Arrays(usize),
    /// A text of several lines between these, in as many of them.
    Text(&'static [u8], usize),
}

/// Splits a file.
pub(super) fn split(text: &str) -> Pieces<'_> {
    let mut pieces = Pieces {
        rest: Vec::new(),
        routes: Vec::new(),
    };
    let (mut within, mut routes) = (Within::Arrays(0), false);
    let (mut start, mut lines_before, mut at, mut lines) = (0, 0, 0, 0);
    for line in text.split_inclusive('\n') {
        if within == Within::Arrays(0) && line.trim_ascii_start().starts_with('[') {
            let now = is_route(line);
            if now != routes || (routes && at - start >= AT_ONCE) {
                pieces.push(routes, text, start..at, lines_before);
                (start, lines_before, routes) = (at, lines, now);
            }
        }
        within = behind(line.as_bytes(), within);
        at += line.len();
        lines += 1;
    }
    pieces.push(routes, text, start..at, lines_before);
    pieces
}

impl<'a> Pieces<'a> {
    fn push(
        &mut self,
        routes: bool,
        text: &'a str,
        range: core::ops::Range<usize>,
        lines_before: u32,
    ) {
        let text = text.get(range).unwrap_or("");
        let of = if routes {
            &mut self.routes
        } else {
            &mut self.rest
        };
        if !text.is_empty() {
            of.push(Piece { text, lines_before });
        }
    }
}

/// Returns `true` if a line is the header of a route.
fn is_route(line: &str) -> bool {
    let inner = line.trim_ascii_start().strip_prefix("[[");
    let behind = inner.and_then(|inner| inner.trim_ascii_start().strip_prefix("route"));
    behind.is_some_and(|behind| behind.trim_ascii_start().starts_with("]]"))
}

/// Returns what the next line begins in if this one begins in `within`.
fn behind(line: &[u8], within: Within) -> Within {
    let (mut quotes, mut depth) = match within {
        Within::Arrays(depth) => (None, depth),
        Within::Text(quotes, depth) => (Some(quotes), depth),
    };
    let header = within == Within::Arrays(0) && line.trim_ascii_start().starts_with(b"[");
    let mut rest = line;
    while let Some(&byte) = rest.first() {
        let mut len = 1;
        match quotes {
            Some(end) if rest.starts_with(end) => {
                // A text may end with quotes of its own.
                let byte = end.first();
                len = rest.iter().take(5).take_while(|b| Some(*b) == byte).count();
                len = if end.len() == 1 { 1 } else { len };
                quotes = None;
            }
            Some(end) => len += usize::from(byte == b'\\' && end.starts_with(b"\"")),
            None => match byte {
                b'#' => break,
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b'"' | b'\'' => {
                    let all: [&[u8]; 4] = [b"\"\"\"", b"'''", b"\"", b"'"];
                    quotes = all.into_iter().find(|quotes| rest.starts_with(quotes));
                    len = quotes.map_or(1, <[u8]>::len);
                }
                _ => {}
            },
        }
        rest = rest.get(len..).unwrap_or(&[]);
    }
    match quotes {
        // Texts of one line end with it, and so do headers.
        Some(quotes) if quotes.len() == 3 => Within::Text(quotes, depth),
        _ if header => Within::Arrays(0),
        _ => Within::Arrays(depth),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn parts(text: &str) -> (String, Vec<Piece<'_>>) {
        let pieces = split(text);
        let rest = pieces.rest.iter().map(|piece| piece.text).collect();
        (rest, pieces.routes)
    }

    #[test]
    fn routes_are_apart_from_the_rest_and_know_their_lines() {
        let text = "hostname = \"a\"\n[[route]]\nprefix = \"1\"\n\n  [[ route ]] # two\nvia = [\n\
                    \"[[route]]\",\n[\"x\"]]\n[vrf.red]\n[[route]]\n[[neighbor]]\na = 1\n";
        let (rest, routes) = parts(text);
        assert_eq!(rest, "hostname = \"a\"\n[vrf.red]\n[[neighbor]]\na = 1\n");
        let lines: Vec<_> = routes.iter().map(|piece| piece.lines_before).collect();
        assert_eq!(lines, [1, 9]);
        assert!(routes[0].text.ends_with("[\"x\"]]\n"));
        assert_eq!(routes[1].text, "[[route]]\n");
    }

    #[test]
    fn what_only_looks_like_a_header_is_none() {
        for text in [
            "a = \"\"\"\n[[route]]\n\"\"\"\n",
            "a = '''x\n[[route]]\n\\'''\n",
            "a = { b = 1,\n[[route]]\n}\n",
            "a = [ # ]\n[[route]]\n]\n",
            "a = \"\"\"\\\"\"\"\n[[route]]\n\"\"\"\"\"\n",
            "[[routes]]\n[route]\n[[route.x]]\n[[\"route\"]]\n",
        ] {
            let (rest, routes) = parts(text);
            assert_eq!((rest.as_str(), routes.len()), (text, 0));
        }
        // A text of one line that doesn't end is wrong where it is.
        let (rest, routes) = parts("a = \"x\n[[route]]\n");
        assert_eq!((rest.as_str(), routes.len()), ("a = \"x\n", 1));
    }

    #[test]
    fn many_routes_are_in_pieces() {
        let text = "[[route]]\nprefix = \"10.0.0.0/8\"\n".repeat(2000);
        let (rest, routes) = parts(&text);
        assert!(rest.is_empty() && routes.len() > 4);
        let all: String = routes.iter().map(|piece| piece.text).collect();
        assert_eq!(all, text);
        assert!(routes.iter().all(|piece| piece.text.len() < 2 * AT_ONCE));
    }
}

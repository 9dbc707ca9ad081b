//! Reading tar archives: those of version 7, ustar, pax (POSIX.1-2001) and GNU tar.

use alloc::vec::Vec;
use core::fmt;

/// An entry of an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// The name without a leading `./` or `/`.
    pub name: Vec<u8>,
    /// The contents of a regular file; `None` for anything else, such as a directory, a link or a
    /// sparse file.
    pub data: Option<&'a [u8]>,
}

/// The reason why an archive is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TarError {
    /// A header's checksum is wrong.
    Checksum,
    /// A number in a header is malformed.
    Number,
    /// A record in a pax header is malformed.
    Record,
    /// The archive ends inside a file.
    Truncated,
}

impl fmt::Display for TarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "a header has a wrong checksum",
            Self::Number => "a header has a malformed number",
            Self::Record => "a pax header has a malformed record",
            Self::Truncated => "it ends in the middle of a file",
        })
    }
}

impl core::error::Error for TarError {}

const BLOCK: usize = 512;

/// Returns `true` if this is a tar archive rather than text: by its magic, or, as version 7 had none,
/// by the checksum of its first header.
pub(crate) fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
        || bytes
            .first_chunk()
            .is_some_and(|block| Header(block).has_good_checksum())
}

/// Returns an iterator over the entries of an archive. It ends after an error.
pub fn entries(archive: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, TarError>> {
    let mut rest = archive;
    core::iter::from_fn(move || {
        let entry = entry(&mut rest).transpose()?;
        if entry.is_err() {
            rest = &[];
        }
        Some(entry)
    })
}

/// What extended headers say of the next entry.
#[derive(Default)]
struct Extended<'a> {
    name: Option<&'a [u8]>,
    size: Option<u64>,
    is_sparse: bool,
}

/// Takes an entry off the front of an archive, with its extended headers.
fn entry<'a>(archive: &mut &'a [u8]) -> Result<Option<Entry<'a>>, TarError> {
    let mut extended = Extended::default();
    loop {
        // A short or zero block ends the archive; some writers leave the zero blocks out.
        let Some((block, rest)) = archive.split_first_chunk() else {
            let blank = archive.iter().all(|&b| b == 0);
            return blank.then_some(None).ok_or(TarError::Truncated);
        };
        if block.iter().all(|&b| b == 0) {
            return Ok(None);
        }
        let header = Header(block);
        if !header.has_good_checksum() {
            return Err(TarError::Checksum);
        }
        let kind = header.kind();
        let is_header = matches!(kind, b'L' | b'K' | b'x' | b'g');
        let size = extended.size.filter(|_| !is_header);
        let size = size.or_else(|| number(header.field(124, 12)));
        let size = usize::try_from(size.ok_or(TarError::Number)?);
        let size = size.map_err(|_| TarError::Truncated)?;
        let padded = size.checked_next_multiple_of(BLOCK);
        let padded = padded.ok_or(TarError::Truncated)?;
        let data = rest.get(..size).ok_or(TarError::Truncated)?;
        // The padding of the last file may be missing.
        *archive = rest.get(padded..).unwrap_or_default();
        match kind {
            b'L' => extended.name = Some(up_to_nul(data)),
            b'x' => extended.read(data)?,
            // GNU's long target of a link, and records for all files: comments, as of git archive.
            b'K' | b'g' => {}
            _ => {
                let name = match extended.name {
                    Some(name) => name.to_vec(),
                    None => header.name(),
                };
                // Old archives mark a directory by its name.
                let is_file = matches!(kind, 0 | b'0' | b'7') && !name.ends_with(b"/");
                let data = (is_file && !extended.is_sparse).then_some(data);
                let name = without_root(&name).to_vec();
                return Ok(Some(Entry { name, data }));
            }
        }
    }
}

impl<'a> Extended<'a> {
    /// Reads the records of a pax header, each `LENGTH KEY=VALUE` and a line feed, where the length is
    /// that of the whole record.
    fn read(&mut self, mut records: &'a [u8]) -> Result<(), TarError> {
        while !records.is_empty() {
            let record = record(&mut records).ok_or(TarError::Record)?;
            match record {
                (b"path", path) => self.name = Some(path),
                (b"size", size) => {
                    self.size = Some(digits(size, 10).ok_or(TarError::Number)?);
                }
                (key, _) => self.is_sparse |= key.starts_with(b"GNU.sparse."),
            }
        }
        Ok(())
    }
}

/// Takes a record off the front. Returns its key and value.
fn record<'a>(records: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let space = records.iter().position(|&b| b == b' ')?;
    let len = digits(records.get(..space)?, 10)?;
    let (record, rest) = records.split_at_checked(usize::try_from(len).ok()?)?;
    *records = rest;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&b| b == b'=')?;
    Some((record.get(..equals)?, record.get(equals + 1..)?))
}

/// A block that describes a file.
struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    fn field(&self, at: usize, len: usize) -> &'a [u8] {
        self.0.get(at..at + len).unwrap_or_default()
    }

    fn kind(&self) -> u8 {
        self.field(156, 1).first().copied().unwrap_or(0)
    }

    /// Returns the name in the header. ustar has a field for a prefix of it; GNU tar, whose magic
    /// is different, has something else there.
    fn name(&self) -> Vec<u8> {
        let name = up_to_nul(self.field(0, 100));
        let prefix = up_to_nul(self.field(345, 155));
        if self.field(257, 6) != b"ustar\0" || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, name].join(&b'/')
    }

    /// Returns `true` if the checksum is the sum of all bytes, with the checksum's own bytes as
    /// spaces. Some old writers add signed bytes.
    fn has_good_checksum(&self) -> bool {
        let checksum = self.field(148, 8);
        let Some(wanted) = number(checksum) else {
            return false;
        };
        let sum = |value: fn(u8) -> i64| -> i64 {
            let all: i64 = self.0.iter().map(|&b| value(b)).sum();
            let own: i64 = checksum.iter().map(|&b| value(b)).sum();
            all - own + 8 * i64::from(b' ')
        };
        let wanted = i64::try_from(wanted);
        wanted == Ok(sum(i64::from)) || wanted == Ok(sum(|b| b.cast_signed().into()))
    }
}

fn up_to_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}

/// Returns a name without what leads to the archive's root.
fn without_root(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"./").or(name.strip_prefix(b"/")) {
        name = rest;
    }
    name
}

/// Parses a number in a header: octal digits with leading spaces and a trailing space or NUL, or,
/// if the first bit is set, GNU tar's base 256 for large numbers.
fn number(field: &[u8]) -> Option<u64> {
    if let Some((&first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        // Negative numbers have the next bit set as well.
        return rest.iter().try_fold(u64::from(first & 0x7f), |n, &b| {
            Some(n.checked_mul(256)? | u64::from(b))
        });
    }
    let is_end = |&b: &u8| b == b' ' || b == 0;
    let start = field.iter().position(|&b| b != b' ')?;
    let field = field.get(start..)?;
    let end = field.iter().position(is_end).unwrap_or(field.len());
    digits(field.get(..end)?, 8)
}

fn digits(text: &[u8], radix: u32) -> Option<u64> {
    let text = core::str::from_utf8(text).ok()?;
    let text = (!text.starts_with('+')).then_some(text)?;
    u64::from_str_radix(text, radix).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    pub(crate) fn file(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
        let mut block = vec![0u8; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(alloc::format!("{:011o}", data.len()).as_bytes());
        block[156] = kind;
        block[257..262].copy_from_slice(b"ustar");
        seal(&mut block);
        block.extend_from_slice(data);
        block.resize(block.len().next_multiple_of(BLOCK), 0);
        block
    }

    fn seal(block: &mut [u8]) {
        block[148..156].fill(b' ');
        let sum: u32 = block[..BLOCK].iter().map(|&b| u32::from(b)).sum();
        block[148..156].copy_from_slice(alloc::format!("{sum:06o}\0 ").as_bytes());
    }

    #[test]
    fn files_in_order() {
        let mut archive = file("./dir/", b'5', b"");
        archive.extend(file("././@LongLink", b'L', b"a very long name\0"));
        archive.extend(file("a very lo", b'0', b"as long"));
        archive.extend(file("./a", b'0', &[7; 513]));
        archive.extend(file("b", 0, b""));
        for end in [0, 100, 1024] {
            let mut archive = archive.clone();
            archive.resize(archive.len() + end, 0);
            let found: Vec<_> = entries(&archive).collect::<Result<_, _>>().unwrap();
            let found = found.iter().map(|e| (&*e.name, e.data.map(<[u8]>::len)));
            let wanted: [(&[u8], _); 4] = [
                (b"dir/", None),
                (b"a very long name", Some(7)),
                (b"a", Some(513)),
                (b"b", Some(0)),
            ];
            assert_eq!(found.collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn malformed() {
        let good = file("a", b'0', b"text");
        type Break = fn(&mut Vec<u8>);
        let cases: [(&str, Break, TarError); 7] = [
            ("flipped byte", |a| a[0] ^= 1, TarError::Checksum),
            ("no checksum", |a| a[148..156].fill(0), TarError::Checksum),
            (
                "no size",
                |a| {
                    a[124..136].fill(b' ');
                    seal(a)
                },
                TarError::Number,
            ),
            (
                "size isn't octal",
                |a| {
                    a[124..136].fill(b'9');
                    seal(a)
                },
                TarError::Number,
            ),
            (
                "huge size",
                |a| {
                    a[124..136].fill(b'7');
                    seal(a)
                },
                TarError::Truncated,
            ),
            (
                "size below zero",
                |a| {
                    a[124..136].fill(0xff);
                    seal(a)
                },
                TarError::Number,
            ),
            ("cut short", |a| a.truncate(300), TarError::Truncated),
        ];
        for (what, damage, error) in cases {
            let mut archive = good.clone();
            damage(&mut archive);
            let found: Vec<_> = entries(&archive).collect();
            assert_eq!(found, [Err(error)], "{what}");
        }
        let mut cut = good.clone();
        cut.truncate(BLOCK + 3);
        assert_eq!(entries(&cut).next(), Some(Err(TarError::Truncated)));
        assert_eq!(entries(&[]).next(), None);
    }

    fn names(archive: &[u8]) -> Vec<alloc::string::String> {
        let names = entries(archive).map(|e| alloc::string::String::from_utf8(e.unwrap().name));
        names.collect::<Result<_, _>>().unwrap()
    }

    /// Returns a pax record: its length counts its own digits.
    fn pax(key: &str, value: &str) -> alloc::string::String {
        let rest = alloc::format!(" {key}={value}\n");
        let fits = |len: &usize| alloc::format!("{len}{rest}").len() == *len;
        let len = (rest.len()..).find(fits).unwrap();
        alloc::format!("{len}{rest}")
    }

    #[test]
    fn pax_records_name_and_measure_the_next_file() {
        let records = pax("mtime", "1.5") + &pax("path", "./a b") + &pax("size", "7");
        let mut archive = file("pax_global_header", b'g', pax("comment", "c").as_bytes());
        archive.extend(file("PaxHeaders/a", b'x', records.as_bytes()));
        let mut short = file("a", b'0', b"content");
        short[124..136].fill(b'0');
        seal(&mut short);
        archive.extend(short);
        archive.extend(file("b", b'0', b"as ever"));
        let found: Vec<_> = entries(&archive).collect::<Result<_, _>>().unwrap();
        assert_eq!(
            (&*found[0].name, found[0].data),
            (&b"a b"[..], Some(&b"content"[..]))
        );
        assert_eq!(
            (&*found[1].name, found[1].data),
            (&b"b"[..], Some(&b"as ever"[..]))
        );
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn malformed_pax_records() {
        for bad in [
            "x path=a\n",
            "12 path=a\n",
            "7 path=a\n",
            "8 path\n\n",
            "+9 path=a\n",
            "9",
        ] {
            let archive = file("x", b'x', bad.as_bytes());
            assert_eq!(
                entries(&archive).next(),
                Some(Err(TarError::Record)),
                "{bad}"
            );
        }
        let archive = file("x", b'x', pax("size", "-1").as_bytes());
        assert_eq!(entries(&archive).next(), Some(Err(TarError::Number)));
    }

    #[test]
    fn a_name_in_two_fields() {
        let mut archive = file("c.routes", b'0', b"");
        archive[345..348].copy_from_slice(b"a/b");
        seal(&mut archive);
        assert_eq!(names(&archive), ["a/b/c.routes"]);
        // GNU tar's own headers have times there.
        archive[257..265].copy_from_slice(b"ustar  \0");
        seal(&mut archive);
        assert_eq!(names(&archive), ["c.routes"]);
    }

    #[test]
    fn numbers_of_base_256() {
        let mut archive = file("a", b'0', b"content");
        archive[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\0\x07");
        seal(&mut archive);
        let entry = entries(&archive).next().unwrap().unwrap();
        assert_eq!(entry.data, Some(&b"content"[..]));
    }

    #[test]
    fn archives_of_version_7() {
        let mut archive = file("a/", 0, b"");
        archive[257..265].fill(0);
        seal(&mut archive);
        assert!(is_tar(&archive));
        archive.extend(file("/a/b", 0, b"content"));
        let found: Vec<_> = entries(&archive).collect::<Result<_, _>>().unwrap();
        assert_eq!((&*found[0].name, found[0].data), (&b"a/"[..], None));
        assert_eq!(
            (&*found[1].name, found[1].data),
            (&b"a/b"[..], Some(&b"content"[..]))
        );
        assert!(!is_tar(&[b'#'; 1024]));
    }

    #[test]
    fn a_checksum_of_signed_bytes() {
        let mut archive = file("\u{e9}", b'0', b"");
        archive[148..156].fill(b' ');
        let sum: i32 = archive[..BLOCK]
            .iter()
            .map(|&b| i32::from(b.cast_signed()))
            .sum();
        archive[148..156].copy_from_slice(alloc::format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(names(&archive), ["\u{e9}"]);
    }

    #[test]
    fn what_is_no_regular_file_has_no_contents() {
        let sparse = pax("GNU.sparse.major", "1") + &pax("path", "a");
        let mut archive = file("x", b'x', sparse.as_bytes());
        archive.extend(file("GNUSparseFile.1/a", b'0', b"1\n0\n7\ncontent"));
        archive.extend(file("a", b'S', b"content"));
        archive.extend(file("a", b'1', b""));
        archive.extend(file("a", b'2', b""));
        for entry in entries(&archive) {
            assert_eq!(
                entry,
                Ok(Entry {
                    name: b"a".to_vec(),
                    data: None
                })
            );
        }
    }
}

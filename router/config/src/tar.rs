//! Reading tar archives: ustar as POSIX.1-1988 has it, and GNU tar's old and new headers.

use core::fmt;

/// A regular file in an archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// The name without a leading `./`. Names longer than the header holds are skipped over
    /// with their files.
    pub name: &'a [u8],
    /// The contents.
    pub data: &'a [u8],
}

/// How an archive is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TarError {
    /// A header's checksum is wrong.
    Checksum,
    /// A number in a header isn't octal.
    Number,
    /// The archive ends inside a file.
    Truncated,
}

impl fmt::Display for TarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "a header has a wrong checksum",
            Self::Number => "a header has a malformed number",
            Self::Truncated => "it ends in the middle of a file",
        })
    }
}

impl core::error::Error for TarError {}

const BLOCK: usize = 512;

/// Returns `true` if this could be a tar archive rather than text.
pub(crate) fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// Returns the regular files of an archive, in order. After an error there is nothing more.
pub fn entries(archive: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, TarError>> {
    let mut rest = archive;
    let mut long_name = false;
    core::iter::from_fn(move || {
        loop {
            let step = next(rest);
            rest = match step {
                Ok(Some(ref step)) => step.rest,
                _ => &[],
            };
            let step = match step {
                Err(error) => return Some(Err(error)),
                Ok(None) => return None,
                Ok(Some(step)) => step,
            };
            match step.kind {
                // The next header's name is cut short: GNU's long name, or pax records.
                b'L' | b'x' => long_name = true,
                b'0' | 0 if !long_name => return Some(Ok(step.entry)),
                _ => long_name = false,
            }
        }
    })
}

struct Step<'a> {
    kind: u8,
    entry: Entry<'a>,
    rest: &'a [u8],
}

fn next(archive: &[u8]) -> Result<Option<Step<'_>>, TarError> {
    // A short or zero block ends the archive; some writers leave the zero blocks out.
    let Some((header, rest)) = archive.split_first_chunk::<BLOCK>() else {
        let blank = archive.iter().all(|&b| b == 0);
        return if blank {
            Ok(None)
        } else {
            Err(TarError::Truncated)
        };
    };
    if header.iter().all(|&b| b == 0) {
        return Ok(None);
    }
    let header = Header::of(header).ok_or(TarError::Truncated)?;
    if octal(header.checksum) != Some(u64::from(header.sum)) {
        return Err(TarError::Checksum);
    }
    let size = octal(header.size).ok_or(TarError::Number)?;
    let size = usize::try_from(size).map_err(|_| TarError::Truncated)?;
    let padded = size
        .checked_next_multiple_of(BLOCK)
        .ok_or(TarError::Truncated)?;
    let data = rest.get(..size).ok_or(TarError::Truncated)?;
    // The padding of the last file may be missing.
    let rest = rest.get(padded..).unwrap_or_default();
    let name = header.name.split(|&b| b == 0).next().unwrap_or_default();
    let name = name.strip_prefix(b"./").unwrap_or(name);
    Ok(Some(Step {
        kind: header.kind,
        entry: Entry { name, data },
        rest,
    }))
}

/// What is of use in a header.
struct Header<'a> {
    name: &'a [u8],
    size: &'a [u8],
    checksum: &'a [u8],
    kind: u8,
    /// The sum of its bytes, those of the checksum being spaces.
    sum: u32,
}

impl<'a> Header<'a> {
    fn of(block: &'a [u8; BLOCK]) -> Option<Self> {
        let (name, rest) = block.split_at_checked(100)?;
        let (_mode_and_owner, rest) = rest.split_at_checked(24)?;
        let (size, rest) = rest.split_at_checked(12)?;
        let (_time, rest) = rest.split_at_checked(12)?;
        let (checksum, rest) = rest.split_at_checked(8)?;
        let sum = |bytes: &[u8]| bytes.iter().map(|&b| u32::from(b)).sum::<u32>();
        Some(Self {
            name,
            size,
            checksum,
            kind: *rest.first()?,
            sum: sum(block) - sum(checksum) + 8 * u32::from(b' '),
        })
    }
}

/// Reads an octal number with spaces before and a space or NUL after it.
fn octal(field: &[u8]) -> Option<u64> {
    let start = field.iter().position(|&b| b != b' ')?;
    let digits = field.get(start..)?;
    let end = digits
        .iter()
        .position(|&b| b == b' ' || b == 0)
        .unwrap_or(digits.len());
    let digits = digits.get(..end)?;
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, &b| match b {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
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
        archive.extend(file("a very lo", b'0', b"skipped"));
        archive.extend(file("./a", b'0', &[7; 513]));
        archive.extend(file("b", 0, b""));
        for end in [0, 100, 1024] {
            let mut archive = archive.clone();
            archive.resize(archive.len() + end, 0);
            let found: Vec<_> = entries(&archive).collect::<Result<_, _>>().unwrap();
            assert_eq!(found.len(), 2);
            assert_eq!((found[0].name, found[0].data.len()), (&b"a"[..], 513));
            assert_eq!((found[1].name, found[1].data.len()), (&b"b"[..], 0));
        }
    }

    #[test]
    fn malformed() {
        let good = file("a", b'0', b"text");
        type Break = fn(&mut Vec<u8>);
        let cases: [(&str, Break, TarError); 6] = [
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
}

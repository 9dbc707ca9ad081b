//! The configuration as the guest's ramdisk.

use alloc::format;

use super::tar::{TarError, entries, is_tar};
use super::{Config, ConfigError, from_toml};

/// The name of the configuration file in an archive.
pub const CONFIG_FILE: &str = "ringway.toml";

/// Reads a ramdisk that is either the configuration file itself or a tar archive that holds
/// it as [`CONFIG_FILE`]. NUL bytes after the text, as loaders leave them, don't matter.
///
/// # Errors
///
/// What is wrong with the archive (line 0) or with the file in it.
pub fn from_ramdisk(bytes: &[u8]) -> Result<Config, ConfigError> {
    let file = if is_tar(bytes) { find(bytes)? } else { bytes };
    let end = file
        .iter()
        .rposition(|&b| b != 0)
        .map_or(0, |last| last + 1);
    let file = file.get(..end).unwrap_or(file);
    if file.is_empty() {
        return Err(ConfigError::new(0, "the ramdisk is empty"));
    }
    match core::str::from_utf8(file) {
        Ok(text) => from_toml(text),
        Err(error) => {
            let valid = file.get(..error.valid_up_to()).unwrap_or(&[]);
            let line = valid.iter().filter(|&&b| b == b'\n').count() + 1;
            let text = "not UTF-8 text (the ramdisk is a TOML file, or a tar archive with \
                        ringway.toml)";
            Err(ConfigError::new(u32::try_from(line).unwrap_or(0), text))
        }
    }
}

fn find(archive: &[u8]) -> Result<&[u8], ConfigError> {
    for entry in entries(archive) {
        match entry {
            Ok(entry) if entry.name == CONFIG_FILE.as_bytes() => return Ok(entry.data),
            Ok(_) => {}
            Err(error) => {
                let what = match error {
                    TarError::Checksum => "a header has a wrong checksum",
                    TarError::Number => "a header has a malformed number",
                    TarError::Truncated => "it ends in the middle of a file",
                };
                return Err(ConfigError::new(
                    0,
                    format!("the ramdisk's tar archive: {what}"),
                ));
            }
        }
    }
    Err(ConfigError::new(
        0,
        format!("the ramdisk's tar archive holds no {CONFIG_FILE}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tar::tests::file;
    use super::*;

    const GOOD: &[u8] = b"[interface.a]\nvif = 0\naddress = [\"10.0.0.1/24\"]\n";

    #[test]
    fn text_and_archive() {
        let plain = from_ramdisk(GOOD).unwrap();
        let mut padded = GOOD.to_vec();
        padded.resize(4096, 0);
        assert_eq!(from_ramdisk(&padded).unwrap(), plain);
        let mut archive = file("routes.txt", b'0', b"1.2.3.0/24 10.0.0.2\n");
        archive.extend(file("./ringway.toml", b'0', GOOD));
        archive.resize(10240, 0);
        assert_eq!(from_ramdisk(&archive).unwrap(), plain);
    }

    #[test]
    fn malformed() {
        let archive = file("other.toml", b'0', GOOD);
        let mut broken = archive.clone();
        broken[0] = b'x';
        for (bytes, line, wanted) in [
            (&b""[..], 0, "empty"),
            (&[0; 4096], 0, "empty"),
            (b"hostname = \"a\"\n\xff\xfe", 2, "UTF-8"),
            (b"\x1f\x8b\x08\x00", 1, "UTF-8"),
            (&archive, 0, "no ringway.toml"),
            (&broken, 0, "checksum"),
        ] {
            let error = from_ramdisk(bytes).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.text.contains(wanted), "{error}");
        }
    }
}

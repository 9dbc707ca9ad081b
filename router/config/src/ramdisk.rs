//! The configuration in the guest's ramdisk.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::ConfigError;
use crate::model::Config;
use crate::notation::without_mark;
use crate::tar::{Entry, entries, is_tar};
use crate::toml_file::{from_archive, from_toml};

/// The name of the configuration file in an archive.
pub const CONFIG_FILE: &str = "ringway.toml";

/// Reads a ramdisk that is either the configuration file itself or a tar archive that holds it as
/// [`CONFIG_FILE`]. NUL bytes after the text and a byte order mark before it are ignored. If an
/// archive has several files with the same name, the last one counts, as when it is unpacked.
///
/// The route files that it names exist then, but haven't been read:
/// [`read_route_file`](crate::read_route_file) does that.
///
/// # Errors
///
/// Fails if the archive (line 0) or the file in it is invalid.
pub fn from_ramdisk(bytes: &[u8]) -> Result<Config, ConfigError> {
    if !is_tar(bytes) {
        return from_toml(text(bytes)?);
    }
    let mut names: Vec<String> = Vec::new();
    let mut found = None;
    for entry in files(bytes) {
        let entry = entry?;
        if entry.name == CONFIG_FILE.as_bytes() {
            found = Some(entry);
        } else if let Ok(name) = String::from_utf8(entry.name) {
            names.push(name);
        }
    }
    from_archive(text(contents(found, CONFIG_FILE)?)?, &names)
}

/// Returns a file in a ramdisk that is an archive.
///
/// # Errors
///
/// The archive is damaged, or there is no such file.
pub fn file<'a>(ramdisk: &'a [u8], path: &str) -> Result<&'a [u8], ConfigError> {
    let mut found = None;
    for entry in files(ramdisk) {
        let entry = entry?;
        if entry.name == path.as_bytes() {
            found = Some(entry);
        }
    }
    contents(found, path)
}

/// Returns the contents of the file called `path` if it was found.
fn contents<'a>(found: Option<Entry<'a>>, path: &str) -> Result<&'a [u8], ConfigError> {
    let is_there = found.is_some();
    found.and_then(|entry| entry.data).ok_or_else(|| {
        let text = if is_there {
            format!(
                "the ramdisk's tar archive holds {path} as something else than a file (a link?)"
            )
        } else {
            format!("the ramdisk's tar archive holds no {path}")
        };
        ConfigError::new(0, text)
    })
}

/// Returns the text of a configuration file.
fn text(file: &[u8]) -> Result<&str, ConfigError> {
    let Some(last) = file.iter().rposition(|&b| b != 0) else {
        return Err(ConfigError::new(0, "the ramdisk is empty"));
    };
    let file = file.get(..=last).unwrap_or(file);
    if file.starts_with(b"07070") {
        let text = "the ramdisk is a cpio archive, not a TOML file or a tar archive";
        return Err(ConfigError::new(0, text));
    }
    let file = without_mark(file);
    core::str::from_utf8(file).map_err(|error| {
        let valid = file.iter().take(error.valid_up_to());
        let line = valid.filter(|&&b| b == b'\n').count() + 1;
        let text = "not UTF-8 text (the ramdisk is a TOML file, or a tar archive with \
                    ringway.toml)";
        ConfigError::new(u32::try_from(line).unwrap_or(0), text)
    })
}

fn files(archive: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, ConfigError>> {
    entries(archive).map(|entry| {
        entry.map_err(|error| ConfigError::new(0, format!("the ramdisk's tar archive: {error}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::tests::file;
    use alloc::string::ToString;

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
        let marked = ["\u{feff}".as_bytes(), GOOD].concat();
        assert_eq!(from_ramdisk(&marked).unwrap(), plain);
        assert_eq!(
            from_ramdisk(&file("ringway.toml", b'0', &marked)),
            Ok(plain)
        );
    }

    #[test]
    fn the_last_file_of_a_name_counts() {
        let mut archive = file("ringway.toml", b'0', b"hostname = 1");
        archive.extend(file("a", b'0', b"old"));
        archive.extend(file("./ringway.toml", b'0', GOOD));
        archive.extend(file("a", b'0', b"new"));
        assert!(from_ramdisk(&archive).is_ok());
        assert_eq!(super::file(&archive, "a").unwrap(), b"new");
    }

    #[test]
    fn route_files() {
        let named = |paths: &[&str]| {
            let tables = paths
                .iter()
                .map(|p| format!("[[route_file]]\npath = \"{p}\"\n"));
            let mut text = GOOD.to_vec();
            tables.for_each(|t| text.extend_from_slice(t.as_bytes()));
            text
        };
        let archive = |paths: &[&str]| {
            let mut archive = file("./a.routes", b'0', b"1.2.3.0/24 10.0.0.2\n");
            archive.extend(file("ringway.toml", b'0', &named(paths)));
            archive.extend(file("dir/b.routes", b'0', b""));
            archive
        };
        let good = archive(&["a.routes", "./dir/b.routes"]);
        let config = from_ramdisk(&good).unwrap();
        let paths = config.route_files.iter().map(|f| (f.path.as_str(), f.vrf));
        let wanted = [("a.routes", 0), ("dir/b.routes", 0)];
        assert_eq!(paths.collect::<Vec<_>>(), wanted);
        assert_eq!(
            super::file(&good, "a.routes").unwrap(),
            b"1.2.3.0/24 10.0.0.2\n"
        );
        assert!(super::file(&good, "b.routes").is_err());
        for (paths, line, wanted) in [
            (&["b.routes"][..], 5, "did you mean \"a.routes\"?"),
            (&["a.routes", "./a.routes"], 7, "already on line 5"),
            (&["dir/"], 5, "holds no dir/"),
        ] {
            let error = from_ramdisk(&archive(paths)).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.text.contains(wanted), "{error}");
        }
        let error = from_ramdisk(&named(&["a.routes"])).unwrap_err();
        assert_eq!(error.line, 5);
        assert!(error.text.contains("tar archive"), "{error}");
    }

    #[test]
    fn the_old_spelling_of_route_file() {
        let mut text = GOOD.to_vec();
        text.extend(b"[[route-file]]\npath = \"a\"\n[[route-file]]\npath = \"b\"\n");
        let mut archive = file("ringway.toml", b'0', &text);
        archive.extend(file("a", b'0', b""));
        archive.extend(file("b", b'0', b""));
        let config = from_ramdisk(&archive).unwrap();
        assert_eq!(config.route_files.len(), 2);
        let [warning] = config.warnings.as_slice() else {
            panic!("{:?}", config.warnings);
        };
        assert_eq!(
            warning.to_string(),
            "line 4: \"route-file\" is now spelled \"route_file\""
        );
    }

    #[test]
    fn malformed() {
        let archive = file("other.toml", b'0', GOOD);
        let link = file("ringway.toml", b'2', b"");
        let mut broken = archive.clone();
        broken[0] = b'x';
        for (bytes, line, wanted) in [
            (&b""[..], 0, "empty"),
            (&[0; 4096], 0, "empty"),
            (b"hostname = \"a\"\n\xff\xfe", 2, "UTF-8"),
            (b"\x1f\x8b\x08\x00", 1, "UTF-8"),
            (b"07070100000001", 0, "cpio"),
            (&archive, 0, "no ringway.toml"),
            (&link, 0, "ringway.toml as something else"),
            (&broken, 0, "checksum"),
        ] {
            let error = from_ramdisk(bytes).unwrap_err();
            assert_eq!(error.line, line, "{error}");
            assert!(error.text.contains(wanted), "{error}");
        }
    }
}

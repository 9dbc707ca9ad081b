//! Configuration from the ramdisk or the command line.

use log::LevelFilter;
use router::{Config, ConfigError, Instant, Router};

/// Creates a router as configured by the ramdisk if there is one, otherwise by the command line. If
/// the configuration is invalid, returns a router that forwards nothing, and the error. Warnings
/// are logged.
///
/// `memory` returns the number of bytes that are free for the router's tables and packet pages
/// after its routes have been read. `seed` should be unpredictable; `now` is Xen's system time.
#[must_use]
pub fn configured_router(
    ramdisk: Option<&[u8]>,
    command_line: &str,
    memory: impl FnOnce() -> usize,
    seed: u64,
    now: Instant,
) -> (Router, Option<ConfigError>) {
    let config = match ramdisk {
        Some(bytes) => router::config::from_ramdisk(bytes),
        None => router::config::from_extra(command_line),
    };
    let configured = config.and_then(|config| {
        for warning in &config.warnings {
            log::warn!(target: "config", "{warning}");
        }
        let mut router = Router::new(&config, seed, now);
        router.read_route_files(ramdisk.unwrap_or(&[]))?;
        router.fit_memory(memory())?;
        Ok(router)
    });
    match configured {
        Ok(router) => (router, None),
        Err(error) => (Router::new(&Config::empty(), seed, now), Some(error)),
    }
}

/// Returns the level set by `log=LEVEL` on the command line, the last one if there are several;
/// info if there is none.
///
/// # Errors
/// The text if it isn't a level.
pub fn log_level(command_line: &str) -> Result<LevelFilter, &str> {
    let words = command_line.split_ascii_whitespace();
    match words.rev().find_map(|word| word.strip_prefix("log=")) {
        None | Some("info") => Ok(LevelFilter::Info),
        Some("error") => Ok(LevelFilter::Error),
        Some("warn") => Ok(LevelFilter::Warn),
        Some("debug") => Ok(LevelFilter::Debug),
        Some(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_log_level_counts() {
        assert_eq!(log_level(""), Ok(LevelFilter::Info));
        assert_eq!(
            log_level("ip=0:10.0.0.1/24 log=debug"),
            Ok(LevelFilter::Debug)
        );
        assert_eq!(log_level("log=debug log=error"), Ok(LevelFilter::Error));
        assert_eq!(log_level("log=warn  x log=info"), Ok(LevelFilter::Info));
        assert_eq!(log_level("log=loud"), Err("loud"));
        assert_eq!(log_level("log="), Err(""));
    }

    #[test]
    fn a_ramdisk_goes_before_the_command_line() {
        let file =
            b"hostname = \"from-file\"\n[interface.lan]\nvif = 0\naddress = [\"10.0.0.1/24\"]\n";
        let line = "hostname=from-line ip=0:10.0.0.1/24";
        let (router, error) = configured_router(Some(file), line, || 1 << 22, 1, Instant(0));
        assert_eq!(
            (router.config().hostname.as_str(), error),
            ("from-file", None)
        );
        let (router, error) = configured_router(None, line, || 1 << 22, 1, Instant(0));
        assert_eq!(
            (router.config().hostname.as_str(), error),
            ("from-line", None)
        );
    }

    #[test]
    fn what_cant_be_used_forwards_nothing() {
        let (router, error) = configured_router(
            Some(b"[interface.x]\nvif = 99\n"),
            "",
            || 1 << 22,
            1,
            Instant(0),
        );
        assert!(router.config().interfaces.is_empty());
        assert_eq!(error.map(|error| error.line), Some(2));
        let (router, error) = configured_router(None, "ip=nonsense", || 1 << 22, 1, Instant(0));
        assert!(router.config().interfaces.is_empty() && error.is_some());
    }
}

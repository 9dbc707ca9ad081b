//! Archives as the programs make them that people use.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use config::{from_ramdisk, ramdisk_file};

const TOML: &str = "[interface.a]\nvif = 0\naddress = [\"10.0.0.1/24\"]\n";
const ROUTES: &str = "192.0.2.0/24 blackhole\n";

/// A folder with a configuration and a file of routes in it, which goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str, routes: &str) -> Self {
        let name = format!("ringway-{test}-{}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        let file = folder.0.join(routes);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let toml = format!("{TOML}[[route_file]]\npath = \"{routes}\"\n");
        fs::write(folder.0.join("ringway.toml"), toml).unwrap();
        fs::write(file, ROUTES).unwrap();
        folder
    }

    fn archive(&self, program: &str, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new(program);
        let output = command.args(args).current_dir(&self.0).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {said}");
        output.stdout
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn is_read(archive: &[u8], routes: &str, what: &str) {
    let config = from_ramdisk(archive).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(config.route_files[0].path, routes, "{what}");
    assert_eq!(
        ramdisk_file(archive, routes).unwrap(),
        ROUTES.as_bytes(),
        "{what}"
    );
}

#[test]
fn every_format_of_gnu_tar() {
    let folder = Folder::new("formats", "dir/a.routes");
    for format in ["v7", "oldgnu", "gnu", "ustar", "posix"] {
        let option = format!("--format={format}");
        for files in [&["."][..], &["ringway.toml", "dir/a.routes"]] {
            let archive = folder.archive("tar", &[&["cf", "-", &option], files].concat());
            is_read(&archive, "dir/a.routes", format);
        }
    }
}

#[test]
fn names_that_no_header_holds() {
    let long = format!("{}/{}.routes", "d".repeat(90), "r".repeat(130));
    let folder = Folder::new("long", &long);
    for format in ["oldgnu", "gnu", "posix"] {
        let archive = folder.archive("tar", &["cf", "-", &format!("--format={format}"), "."]);
        is_read(&archive, &long, format);
    }
    let two_fields = format!("{}/{}.routes", "d".repeat(90), "r".repeat(60));
    let folder = Folder::new("prefix", &two_fields);
    let archive = folder.archive("tar", &["cf", "-", "--format=ustar", "."]);
    is_read(&archive, &two_fields, "ustar");
}

#[test]
fn every_format_of_python() {
    let folder = Folder::new("python", "a.routes");
    for format in ["USTAR", "GNU", "PAX"] {
        // A time with a fraction makes a pax header.
        let program = format!(
            "import os, sys, tarfile\n\
             for name in os.listdir(): os.utime(name, (1.5, 1.5))\n\
             tar = tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.{format}_FORMAT)\n\
             tar.add('.')\n\
             tar.close()"
        );
        let archive = folder.archive("python3", &["-c", &program]);
        is_read(&archive, "a.routes", format);
    }
}

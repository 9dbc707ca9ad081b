//! CONTRIBUTING.md's example of a key is what the code says.

use std::path::Path;
use std::{fs, io};

/// The key that the example shows.
const KEY: &str = "icmp_error_rate";

/// Returns the files below a folder that aren't tests, with what is in them.
fn sources(folder: &Path) -> io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if !path.ends_with("tests.rs") {
            found.push((path.display().to_string(), fs::read_to_string(&path)?));
        }
    }
    Ok(found)
}

#[test]
fn the_example_of_a_key_is_what_the_code_says() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(here.join("../../CONTRIBUTING.md"))?;
    let (_, example) = document
        .split_once("## Example: a key of an interface")
        .expect("the example");
    let line = example
        .split("```rust")
        .nth(1)
        .and_then(|block| block.split("```").next())
        .expect("a line of code")
        .trim();
    assert!(line.contains(KEY));
    for (path, text) in sources(&here.join("src"))? {
        let expected = path.ends_with("/model.rs") || path.ends_with("/toml_file/interface.rs");
        assert_eq!(text.contains(KEY), expected, "{path}");
        assert_eq!(
            text.contains(line),
            path.ends_with("/interface.rs"),
            "{path}"
        );
    }
    Ok(())
}

//! What the documents refer to is there.

use std::fs;
use std::path::Path;

/// Where a test named `place::name` is: in a system test, a packet test, or beside the code.
fn exists(root: &Path, reference: &str) -> bool {
    let (place, name) = reference.rsplit_once("::").unwrap();
    let (paths, definition) = if let Some(file) = place.strip_suffix(".py") {
        let path = format!("tests/system/{file}.py");
        (vec![path], format!("def {name}("))
    } else {
        let place = place.replace("::", "/");
        let paths = ["router/tests/packets", "router/src"].map(|p| format!("{p}/{place}.rs"));
        (paths.to_vec(), format!("fn {name}("))
    };
    paths
        .iter()
        .filter_map(|path| fs::read_to_string(root.join(path)).ok())
        .any(|text| text.contains(&definition))
}

#[test]
fn tests_named_in_the_table_of_rfc_1812_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("docs/RFC1812.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let references: Vec<&str> = quoted.filter(|q| q.contains("::")).collect();
    assert!(references.len() > 30, "{references:?}");
    for reference in references {
        assert!(exists(&root, reference), "{reference}");
    }
}

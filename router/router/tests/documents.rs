//! What the documents refer to is there.

use std::fs;
use std::path::Path;

/// Where a test named `place::name` is: in a system test, a packet test, or beside the code of a
/// crate, with whose name `place` begins then.
fn exists(root: &Path, reference: &str) -> bool {
    let (place, name) = reference.rsplit_once("::").unwrap();
    let (paths, definition) = if let Some(file) = place.strip_suffix(".py") {
        let path = format!("tests/system/{file}.py");
        (vec![path], format!("def {name}("))
    } else {
        let place = place.replace("::", "/");
        let mut paths = vec![format!("router/router/tests/packets/{place}.rs")];
        if let Some((package, module)) = place.split_once('/') {
            paths.push(format!("router/{package}/src/{module}.rs"));
        }
        (paths, format!("fn {name}("))
    };
    paths
        .iter()
        .filter_map(|path| fs::read_to_string(root.join(path)).ok())
        .any(|text| text.contains(&definition))
}

/// What is in code font in a document.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn tests_named_in_the_table_of_rfc_1812_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("docs/RFC1812.md")).unwrap();
    let mut references = quoted(&text);
    references.retain(|quoted| quoted.contains("::"));
    assert!(references.len() > 30, "{references:?}");
    for reference in references {
        assert!(exists(&root, reference), "{reference}");
    }
}

/// The strings between quotation marks that begin entries of a Python literal.
fn entries<'a>(text: &'a str, literal: &str) -> Vec<&'a str> {
    let start = text.find(&format!("\n{literal} = {{")).expect(literal);
    let body = text[start..].split_once('{').unwrap().1;
    let body = body.split_once('}').unwrap().0;
    let strings = body.split('"').skip(1).step_by(2);
    let mut entries: Vec<&str> = strings.collect();
    // Of "key": "value" only keys are entries.
    let is_key = |entry: &&str| body.contains(&format!("\"{entry}\":")) || !body.contains("\":");
    entries.retain(is_key);
    entries
}

#[test]
fn every_difference_to_linux_that_tests_know_is_in_the_document_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let document = read("docs/LINUX.md");
    let first_column: String = document
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('|').nth(1))
        .collect();
    let mut told = quoted(&first_column);
    let lists = [
        ("forwarding/test_packets_vs_linux", "DIFFERENCES"),
        ("ipv4/test_ipv4_options", "LENGTHS"),
        ("ipv4/test_ipv4_options", "ADDRESSES"),
        ("ipv4/test_source_routes", "DIFFERENCES"),
        ("icmp/test_redirects", "LAX"),
        ("neighbors/test_arp_vs_linux", "DIFFERENCES"),
        ("neighbors/test_ndp_vs_linux", "DIFFERENCES"),
        ("neighbors/test_dad", "DIFFERENCES"),
        ("routes/test_multipath_vs_linux", "DIFFERENCES"),
        ("local/test_reassembly_vs_linux", "EITHER"),
        ("vrf/test_vrf_vs_linux", "DIFFERENCES"),
        ("local/test_reassembly_vs_linux", "SIX"),
    ];
    let mut known = Vec::new();
    let texts = lists.map(|(file, list)| (read(&format!("tests/system/{file}.py")), list));
    for (text, list) in &texts {
        known.extend(entries(text, list));
    }
    known.sort_unstable();
    told.sort_unstable();
    assert!(known.len() > 20, "{known:?}");
    assert_eq!(told, known);
}

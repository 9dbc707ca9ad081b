//! Any bytes at all may be typed, and given as a command.

use std::panic::AssertUnwindSafe;

use bolero::check;
use control_plane::configured_router;
use control_plane::console::{self, LineEditor, MAX_LINE};
use control_plane::fake::FakeMachine;
use router::Instant;

#[test]
fn typed_bytes_never_panic_and_lines_stay_printable() {
    check!()
        .with_iterations(5000)
        .with_type::<Vec<u8>>()
        .for_each(|bytes| {
            let mut editor = LineEditor::new("> ");
            let complete = |line: &str| vec![format!("{line}x"), "show".to_string()];
            for &byte in bytes {
                let mut echo = String::new();
                if let Ok(Some(line)) = editor.feed(byte, &complete, &mut echo) {
                    assert!(
                        line.len() <= MAX_LINE && line.bytes().all(|b| (b' '..=b'~').contains(&b))
                    );
                }
            }
        });
}

const CONFIG: &str = r#"
hostname = "fuzz"
[vrf.blue]
[interface.wan]
vif = 0
address = ["10.0.0.1/24", "2001:db8::1/64"]
[interface.lan]
vif = 1
vrf = "blue"
address = ["10.0.1.1/24", "10.0.2.1/31", "2001:db8:1::1/64"]
[interface.tagged]
parent = "lan"
vlan = 7
[[route]]
prefix = "0.0.0.0/0"
via = ["10.0.0.253", "10.0.0.254@3"]
[[neighbor]]
interface = "wan"
address = "10.0.0.9"
mac = "02:00:00:00:00:09"
"#;

#[test]
fn command_lines() {
    let (router, error) = configured_router(Some(CONFIG.as_bytes()), "", || 1 << 22, 1, Instant(0));
    assert_eq!(error, None);
    let machine = FakeMachine::new(router, 1, 0);
    // No line ends in the middle of a change.
    let run = AssertUnwindSafe(|line: &str| {
        let mut out = String::new();
        console::run(&machine, line, &mut out);
        out
    });
    check!().with_iterations(2000).for_each(|bytes: &[u8]| {
        let line = String::from_utf8_lossy(bytes);
        let out = (*run)(&line);
        assert!(out.is_empty() || out.ends_with('\n'), "{out:?}");
        assert!(console::complete(&line).iter().all(|word| !word.is_empty()));
    });
}

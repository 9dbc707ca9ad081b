//! The prompt on the console.

use crate::boot::ready;

#[test]
fn it_is_silent_until_somebody_types() {
    let mut guest = ready(1);
    guest.printed();
    guest.run_for(crate::guest::SECOND);
    assert_eq!(guest.printed(), "");
}

#[test]
fn a_line_is_run_when_it_is_complete() {
    let mut guest = ready(1);
    assert_eq!(guest.type_keys("show ver"), "show ver");
    let printed = guest.type_keys("sion\r");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        printed,
        format!("sion\ntenant-a: ringway {version}\n\r\x1b[Ktenant-a> ")
    );
    assert_eq!(guest.type_keys("\r"), "\n\r\x1b[Ktenant-a> ");
}

#[test]
fn several_lines_may_come_at_once() {
    let mut guest = ready(1);
    let printed = guest.type_keys(&"show version\r".repeat(200));
    assert_eq!(printed.matches(": ringway ").count(), 200);
}

#[test]
fn tab_completes() {
    let mut guest = ready(1);
    assert_eq!(guest.type_keys("sh\tm\t"), "show memory ");
    let printed = guest.type_keys("\x15show v\t");
    assert!(printed.contains("version  vifs  vrfs  "), "{printed:?}");
}

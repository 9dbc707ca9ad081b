//! Any bytes at all may be typed.

use control_plane::console::{LineEditor, MAX_LINE};

#[test]
fn typed_bytes_never_panic_and_lines_stay_printable() {
    bolero::check!()
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

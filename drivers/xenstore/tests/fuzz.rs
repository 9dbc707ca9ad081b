//! What xenstored sends, taken apart: nothing panics.

use xenstore::wire::{Decoder, DirectoryPart, Errno, strings};

#[test]
fn any_payload() {
    bolero::check!()
        .with_iterations(3000)
        .for_each(|bytes: &[u8]| {
            let _ = strings(bytes).count();
            if let Some(part) = DirectoryPart::parse(bytes) {
                assert!(part.list.is_empty() || part.list.ends_with(b"\0"));
            }
            let _ = Errno::parse(bytes);
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            let mut total = 0;
            while let Ok(Some(message)) = decoder.next_message() {
                total += 16 + message.payload.len();
            }
            assert!(total <= bytes.len());
        });
}

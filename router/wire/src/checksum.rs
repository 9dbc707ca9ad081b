//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

/// Returns the ones' complement sum of big-endian 16-bit words; an odd last byte is padded with 0.
#[inline]
pub fn sum(bytes: &[u8]) -> u16 {
    let mut words = bytes.chunks_exact(4);
    let mut sum: u64 = 0;
    for word in &mut words {
        sum += word
            .try_into()
            .map_or(0, |w| u64::from(u32::from_be_bytes(w)));
    }
    let mut tail = [0; 4];
    for (to, from) in tail.iter_mut().zip(words.remainder()) {
        *to = *from;
    }
    fold(sum + u64::from(u32::from_be_bytes(tail)))
}

/// Folds a sum of words to 16 bits with end-around carry.
#[inline]
pub fn fold(mut sum: u64) -> u16 {
    while let Some(high) = core::num::NonZeroU64::new(sum >> 16) {
        sum = (sum & 0xffff) + high.get();
    }
    // Nothing is left above bit 15.
    (sum & 0xffff) as u16
}

/// Returns the checksum of `bytes`, whose own checksum field must be 0.
#[inline]
pub fn checksum(bytes: &[u8]) -> u16 {
    !sum(bytes)
}

/// Sets the 16 bits at `at` to the checksum of all of `bytes`.
#[inline]
pub fn fill(bytes: &mut [u8], at: usize) {
    put(bytes, at, 0);
    let value = checksum(bytes);
    put(bytes, at, value);
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// Completes the checksum of a TCP or UDP segment whose checksum field contains the sum of the
/// pseudo-header, as in frames with checksum offload.
pub fn complete(protocol: u8, segment: &mut [u8]) {
    let at = match protocol {
        6 => 16,
        17 => 6,
        _ => return,
    };
    if segment.len() < at + 2 {
        return;
    }
    let value = finish(protocol, sum(segment));
    put(segment, at, value);
}

/// Returns the checksum of a TCP or UDP segment from the sum of its words and of the pseudo-header.
#[inline]
pub fn finish(protocol: u8, sum: u16) -> u16 {
    match !sum {
        // In UDP, 0 means that there is no checksum (RFC 768).
        0 if protocol == 17 => 0xffff,
        value => value,
    }
}

/// Decrements the TTL and updates the checksum in the third word of an IPv4 header (TTL, protocol,
/// checksum), read in little-endian order.
///
/// In that byte order the word of TTL and protocol decreases by 1, so the checksum increases by 1
/// (RFC 1624, equation 3). The TTL must not be 0.
#[inline(always)]
pub fn decrement_ttl(word: u32) -> u32 {
    if word < 0xfffe_0000 {
        word.wrapping_add(0x0000_ffff)
    } else {
        // The sum wraps around: 0xfffe becomes 0 and 0xffff becomes 1.
        (word & 0xffff).wrapping_sub(1) | ((word >> 16).wrapping_sub(0xfffe) << 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn known_sums() {
        // The example of RFC 1071, section 3.
        assert_eq!(
            sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            0xddf2
        );
        assert_eq!(sum(&[]), 0);
        assert_eq!(sum(&[0x12]), 0x1200);
        assert_eq!(sum(&[0xff; 7]), 0xff00);
        assert_eq!(fold(u64::MAX), 0xffff);
    }

    proptest! {
        #[test]
        fn decrement_equals_recompute(mut header: [u8; 20], wrap in 0u8..4) {
            header[8] = header[8].max(1);
            if wrap > 0 {
                // Make the checksum come out near its wrap-around.
                header[18] = 0;
                header[19] = 0;
                fill(&mut header, 10);
                let near = 0xfffc + u16::from(wrap);
                let now = u16::from_be_bytes([header[10], header[11]]);
                let diff = fold(u64::from(now) + u64::from(!near));
                header[18..].copy_from_slice(&diff.to_be_bytes());
            }
            fill(&mut header, 10);
            let word = u32::from_le_bytes(header[8..12].try_into().unwrap());
            let mut recomputed = header;
            recomputed[8] -= 1;
            fill(&mut recomputed, 10);
            header[8..12].copy_from_slice(&decrement_ttl(word).to_le_bytes());
            prop_assert_eq!(header, recomputed);
        }

        #[test]
        fn decrement_keeps_validity(ttl in 1u8.., protocol: u8, checksum: u16) {
            // Every valid header stays valid, also with the other form of zero.
            let word = u32::from_le_bytes([ttl, protocol, 0, 0]) | u32::from(checksum) << 16;
            let new = decrement_ttl(word);
            let total = |w: u32| {
                let [a, b, c, d] = w.to_le_bytes();
                fold(u64::from(u16::from_be_bytes([a, b])) + u64::from(u16::from_be_bytes([c, d]))) % 0xffff
            };
            prop_assert_eq!(total(new), total(word));
            prop_assert_eq!(new.to_le_bytes()[0], ttl - 1);
            prop_assert_eq!(new.to_le_bytes()[1], protocol);
        }

        #[test]
        fn completed_checksums_verify(mut segment in prop::collection::vec(any::<u8>(), 20..200), tcp: bool, pseudo: u16) {
            let (protocol, at) = if tcp { (6, 16) } else { (17, 6) };
            segment[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
            complete(protocol, &mut segment);
            let all: Vec<u8> = pseudo.to_be_bytes().into_iter().chain(segment).collect();
            prop_assert_eq!(sum(&all), 0xffff);
        }
    }
}

//! Tests if the segments of a large TCP frame (GSO) fit where the frame itself doesn't.

use crate::frame::{ETHERNET_LEN, FrameMeta};

/// Returns `true` if each segment of an aggregate fits into a frame of `max_len` bytes, tags not
/// counted. An ordinary frame has none.
#[cold]
pub(crate) fn segments_fit(meta: &FrameMeta, max_len: u32) -> bool {
    let known = meta.segment_len != 0 && meta.segment_len != u16::MAX;
    known && ETHERNET_LEN as u32 + u32::from(meta.segment_len) <= max_len
}

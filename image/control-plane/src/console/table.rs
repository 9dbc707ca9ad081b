//! Tables of text.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Writes rows with their columns aligned. The last column isn't padded.
///
/// # Errors
/// Those of `out`.
pub(super) fn table(out: &mut dyn fmt::Write, head: &[&str], rows: &[Vec<String>]) -> fmt::Result {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|r| r.get(column))
            .map(|c| c.chars().count());
        cells
            .chain(head.get(column).map(|h| h.len()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text += &format!("{cell:<width$}  ");
        }
        writeln!(out, "{}", text.trim_end())
    };
    line(&mut head.iter().copied())?;
    for row in rows {
        line(&mut row.iter().map(String::as_str))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let rows = vec![row(["a", "größer", "x"]), row(["long name", "", "y z"])];
        let mut out = String::new();
        table(&mut out, &["NAME", "B", "C"], &rows).unwrap();
        assert_eq!(
            out,
            "NAME       B       C\n\
             a          größer  x\n\
             long name          y z\n"
        );
    }
}

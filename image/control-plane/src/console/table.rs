//! Tables of text.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Writes rows with their columns aligned. The last column isn't padded.
///
/// Rows are made twice, the first time for the widths of columns: a long table needs the memory of
/// one row.
///
/// # Errors
/// Those of `out`.
pub(super) fn table(
    out: &mut dyn fmt::Write,
    head: &[&str],
    rows: impl Iterator<Item = Vec<String>> + Clone,
) -> fmt::Result {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.len()).collect();
    for row in rows.clone() {
        for (width, cell) in widths.iter_mut().zip(&row) {
            *width = cell.chars().count().max(*width);
        }
    }
    write_row(out, &widths, head)?;
    for row in rows {
        write_row(out, &widths, &row)?;
    }
    Ok(())
}

fn write_row<T: AsRef<str>>(out: &mut dyn fmt::Write, widths: &[usize], row: &[T]) -> fmt::Result {
    let mut text = String::new();
    for (cell, width) in row.iter().zip(widths) {
        text += &format!("{:<width$}  ", cell.as_ref());
    }
    writeln!(out, "{}", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let rows = [row(["a", "größer", "x"]), row(["long name", "", "y z"])];
        let mut out = String::new();
        table(&mut out, &["NAME", "B", "C"], rows.into_iter()).unwrap();
        assert_eq!(
            out,
            "NAME       B       C\n\
             a          größer  x\n\
             long name          y z\n"
        );
    }
}

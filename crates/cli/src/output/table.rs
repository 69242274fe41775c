//! Tables whose columns align, wide characters included.

use unicode_width::UnicodeWidthStr;

use super::{Output, Tone, plain};

/// Rows under a header. A cell may have a tone.
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<(String, Option<Tone>)>>,
}

impl Table {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it has as many cells as the header.
    pub(crate) fn row(&mut self, cells: Vec<(String, Option<Tone>)>) {
        self.rows.push(cells.into_iter().map(|(text, tone)| (plain(&text), tone)).collect());
    }

    /// The lines, without blanks at their ends.
    pub(crate) fn lines(&self, out: Output) -> Vec<String> {
        let widths: Vec<usize> = (0..self.header.len()).map(|column| self.width(column)).collect();
        let header = self.header.iter().map(|title| ((*title).to_owned(), Some(Tone::Faint))).collect();
        std::iter::once(&header).chain(&self.rows).map(|row| line(row, &widths, out)).collect()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|(text, _)| text.width());
        cells.chain(self.header.get(column).map(|title| title.width())).max().unwrap_or(0)
    }
}

fn line(row: &[(String, Option<Tone>)], widths: &[usize], out: Output) -> String {
    let mut text = String::new();
    for (index, ((cell, tone), width)) in row.iter().zip(widths).enumerate() {
        text.push_str(&tone.map_or_else(|| cell.clone(), |tone| out.paint(tone, cell)));
        if index + 1 < row.len() {
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + 2));
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_names_align() {
        let out = Output { json: false, color: false, err_color: false, live: false };
        let mut table = Table::new(&["NAME", "STATUS"]);
        table.row(vec![("数据处理任务".into(), None), ("running".into(), None)]);
        table.row(vec![("report".into(), None), ("failed".into(), None)]);
        assert_eq!(
            table.lines(out),
            ["NAME          STATUS", "数据处理任务  running", "report        failed"]
        );
    }
}

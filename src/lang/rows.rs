//! The rows of the table, each once: one that stands in several bodies, or in its own, is found where it
//! stands first. What is printed from the table is printed from these, so that it ends.

use crate::lang::table::{COMMON, KINDS, Line};

/// Where the lines stand that every node may hold.
pub const NODE: &str = "every node";

#[derive(Debug)]
pub struct Row {
    pub line: &'static Line,
    /// `run / copy / include`.
    pub title: String,
}

/// In the order of the table, a row before those of its body.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for line in KINDS {
        visit(&mut rows, line, "");
    }
    for line in COMMON {
        visit(&mut rows, line, NODE);
    }
    rows
}

pub fn find<'a>(rows: &'a [Row], line: &Line) -> Option<&'a Row> {
    rows.iter().find(|row| is_same(row.line, line))
}

pub fn title(within: &str, line: &Line) -> String {
    if within.is_empty() { line.word.to_owned() } else { format!("{within} / {}", line.word) }
}

fn visit(rows: &mut Vec<Row>, line: &'static Line, within: &str) {
    if find(rows, line).is_some() {
        return;
    }
    let title = title(within, line);
    rows.push(Row { line, title: title.clone() });
    for inner in line.body {
        visit(rows, inner, &title);
    }
}

/// By what they say: a constant has no address of its own.
fn is_same(one: &Line, other: &Line) -> bool {
    let names = |line: &Line| line.properties.iter().map(|property| property.name).collect::<Vec<_>>();
    let words = |line: &Line| line.body.iter().map(|line| line.word).collect::<Vec<_>>();
    (one.word, one.doc, one.example, one.often) == (other.word, other.doc, other.example, other.often)
        && names(one) == names(other)
        && words(one) == words(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_stands_once() {
        let rows = rows();
        let titles: Vec<&str> = rows.iter().map(|row| row.title.as_str()).collect();
        assert!(titles.contains(&"run / mount") && titles.contains(&"image / layer"), "{titles:?}");
        assert!(!titles.contains(&"test / mount"), "it is the row of `run`");
        assert!(titles.contains(&"every node / matrix"), "{titles:?}");
        let mut distinct = titles.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), titles.len());
    }

    /// A row whose body has a row with its own.
    static INNER: Line = Line { word: "when", doc: "Inner.", body: &[&OUTER], ..Line::EMPTY };
    static OUTER: Line = Line { word: "run", doc: "Outer.", body: &[&INNER], ..Line::EMPTY };

    #[test]
    fn rows_in_their_own_bodies_end() {
        let mut rows = Vec::new();
        visit(&mut rows, &OUTER, "");
        let titles: Vec<&str> = rows.iter().map(|row| row.title.as_str()).collect();
        assert_eq!(titles, ["run", "run / when"]);
    }
}

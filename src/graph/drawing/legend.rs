//! The kinds of a drawing's nodes with their colours and how many there are, below the drawing.

use std::fmt::Write as _;

use crate::graph::drawing::arrange::Arrangement;
use crate::graph::drawing::measure::sans;
use crate::graph::drawing::paint::escaped;
use crate::graph::drawing::palette::Family;
use crate::graph::graph::Graph;

const ROW: f64 = 22.0;
const LEFT: f64 = 28.0;
/// A row is no narrower than this, however narrow the drawing is.
const NARROWEST: f64 = 420.0;

/// The legend and the size of drawing and legend together.
pub(super) fn legend(graph: &Graph, drawing: &Arrangement) -> (String, f64, f64) {
    let right = drawing.width.max(NARROWEST);
    let (mut left, mut top) = (LEFT, drawing.height + 6.0);
    let mut width = drawing.width;
    let mut page = String::new();
    for (kind, count) in counts(graph) {
        let (word, count) = (escaped(kind), count.to_string());
        let taken = 18.0 + sans(kind, 11.0) + 5.0 + sans(&count, 11.0);
        if left > LEFT && left + taken > right - LEFT {
            (left, top) = (LEFT, top + ROW);
        }
        let _ = writeln!(
            page,
            "<g class=\"n {}\" transform=\"translate({left:.0} {top:.0})\"><rect class=\"bar\" width=\"11\" height=\"11\" rx=\"3\"/>\
             <text x=\"17\" y=\"9.5\"><tspan class=\"word\">{word}</tspan><tspan class=\"count\" dx=\"5\">{count}</tspan></text></g>",
            Family::of(kind).class,
        );
        left += taken + 18.0;
        width = width.max(left);
    }
    let height = if graph.nodes.is_empty() { drawing.height } else { top + ROW + 6.0 };
    (page, width.ceil(), height.ceil())
}

/// Sources first, as they stand in the drawing.
fn counts(graph: &Graph) -> Vec<(&'static str, usize)> {
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for node in &graph.nodes {
        match counts.iter_mut().find(|(kind, _)| *kind == node.kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((node.kind, 1)),
        }
    }
    counts.sort_by_key(|(kind, _)| Family::of(kind).rank());
    counts
}

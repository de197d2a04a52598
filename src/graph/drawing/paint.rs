//! Boxes and curves as SVG. Only elements and attributes that every viewer knows: no scripts, no fonts, no
//! custom properties. What a name or a text holds never becomes markup.

use std::fmt::Write as _;

use crate::graph::drawing::arrange::{Arrangement, Arrow, Rect, Trunk};
use crate::graph::drawing::legend;
use crate::graph::drawing::measure::{mono, sans, shortened};
use crate::graph::drawing::palette::{self, Family};
use crate::graph::graph::{Graph, Node};

const PADDING: f64 = 15.0;
const NARROWEST_BOX: f64 = 88.0;
/// Letters of a name; its tooltip has it whole.
const LONGEST_NAME: usize = 36;
const BADGE_WIDTH: f64 = 48.0;
const TIP: f64 = 7.0;
/// With so many arrows that leave it, a node's edges are drawn fainter.
const HUB: usize = 10;

/// The whole document.
pub(super) fn page(graph: &Graph, drawing: &Arrangement) -> String {
    let (legend, width, height) = legend::legend(graph, drawing);
    let count = graph.nodes.len();
    let nodes = if count == 1 { "node" } else { "nodes" };
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>Build graph of {count} {nodes}</title>\n<style>\n{}</style>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n",
        palette::style(),
    );
    for trunk in &drawing.trunks {
        draw_trunk(&mut page, graph, drawing, trunk);
    }
    let mut arrows_from = vec![0; count];
    drawing.arrows.iter().for_each(|arrow| arrows_from[arrow.source] += 1);
    for arrow in &drawing.arrows {
        draw_arrow(&mut page, graph, arrow, arrows_from[arrow.source] >= HUB);
    }
    for ((node, rect), &is_default) in graph.nodes.iter().zip(&drawing.boxes).zip(&drawing.is_default) {
        draw_box(&mut page, node, rect, is_default);
    }
    page += &legend;
    page += "</svg>\n";
    page
}

/// Pixels that a node's box needs, with room for the mark of a default target.
pub(super) fn box_width(node: &Node, is_default: bool) -> f64 {
    let badge = if is_default { BADGE_WIDTH + 10.0 } else { 0.0 };
    let name = mono(&shortened(&node.name, LONGEST_NAME), 13.0);
    let kind = sans(node.kind, 11.0) + badge;
    (name.max(kind) + 2.0 * PADDING).max(NARROWEST_BOX).ceil()
}

/// Text of an element or an attribute; characters that XML forbids are replaced.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' | '\t' => escaped.push(letter),
            // Also what would turn the direction of the text that follows.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
                escaped.push('\u{fffd}');
            }
            _ if letter.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}

fn draw_box(page: &mut String, node: &Node, rect: &Rect, is_default: bool) {
    let Rect { left, top, width, height } = *rect;
    let middle = height / 2.0;
    let (class, mark) = (Family::of(node.kind).class, if is_default { " default" } else { "" });
    let mut title = format!("{} {}", node.kind, node.name);
    for more in node.doc.iter().chain(std::iter::once(&node.place)).filter(|more| !more.is_empty()) {
        title = format!("{title}\n{}", more.trim());
    }
    let _ = write!(
        page,
        "<g class=\"n {class}{mark}\" transform=\"translate({left} {top})\"><title>{}</title>\
         <rect class=\"card\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\
         <rect class=\"bar\" x=\"5\" y=\"9\" width=\"3\" height=\"{}\" rx=\"1.5\"/>\
         <text class=\"name\" x=\"{PADDING}\" y=\"{}\">{}</text><text class=\"kind\" x=\"{PADDING}\" y=\"{}\">{}</text>",
        escaped(&title),
        height - 18.0,
        middle - 3.0,
        escaped(&shortened(&node.name, LONGEST_NAME)),
        middle + 13.0,
        escaped(node.kind),
    );
    if is_default {
        let badge = width - BADGE_WIDTH - 8.0;
        let _ = write!(
            page,
            "<rect class=\"bar\" x=\"{badge}\" y=\"{}\" width=\"{BADGE_WIDTH}\" height=\"13\" rx=\"6.5\"/>\
             <text class=\"badge\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">default</text>",
            middle + 3.0,
            badge + BADGE_WIDTH / 2.0,
            middle + 12.5,
        );
    }
    *page += "</g>\n";
}

/// From the node's box through all columns that its long edges pass.
fn draw_trunk(page: &mut String, graph: &Graph, drawing: &Arrangement, trunk: &Trunk) {
    let (node, rect) = (&graph.nodes[trunk.node], &drawing.boxes[trunk.node]);
    let mut end = (rect.left + rect.width, rect.top + rect.height / 2.0);
    let mut path = format!("M{} {}", end.0, end.1);
    for &(left, right, height) in &trunk.stretches {
        path += &curve(end, (left, height));
        let _ = write!(path, "H{right}");
        end = (right, height);
    }
    let _ = writeln!(
        page,
        "<g class=\"e {}\"><title>{}</title><path d=\"{path}\"/></g>",
        Family::of(node.kind).class,
        escaped(&node.name),
    );
}

fn draw_arrow(page: &mut String, graph: &Graph, arrow: &Arrow, is_of_hub: bool) {
    let (source, target) = (&graph.nodes[arrow.source], &graph.nodes[arrow.target]);
    let mut title = format!("{} → {}", source.name, target.name);
    for input in target.inputs.iter().filter(|input| input.source.node.0 == arrow.source) {
        title = format!("{title}\n{}", input.slot);
    }
    let ((x, y), (tip_x, tip_y)) = (arrow.from, arrow.to);
    let start = tip_x - TIP;
    let _ = writeln!(
        page,
        "<g class=\"e {}{}\"><title>{}</title><path d=\"M{x} {y}{}\"/>\
         <path class=\"tip\" d=\"M{start} {}L{tip_x} {tip_y}L{start} {}Z\"/></g>",
        Family::of(source.kind).class,
        if is_of_hub { " hub" } else { "" },
        escaped(&title),
        curve((x, y), (start, tip_y)),
        tip_y - TIP / 2.0,
        tip_y + TIP / 2.0,
    );
}

/// A line that leaves and arrives level; nothing but a line where both ends are equally high.
fn curve(from: (f64, f64), to: (f64, f64)) -> String {
    if (from.1 - to.1).abs() < 0.5 {
        return format!("L{} {}", to.0, to.1);
    }
    let bend = (to.0 - from.0) / 2.0;
    format!("C{} {} {} {} {} {}", from.0 + bend, from.1, to.0 - bend, to.1, to.0, to.1)
}

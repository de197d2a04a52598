//! Layers and positions → boxes, trunks and arrows in pixels. Components are stacked and share their columns;
//! nodes that nothing connects stand in rows below.

use crate::graph::drawing::links::Links;
use crate::graph::drawing::skeleton::{Item, Skeleton, routed};
use crate::graph::drawing::{layering, order, paint, position};
use crate::graph::graph::Graph;

const LOWEST_BOX: f64 = 46.0;
/// With many arrows, boxes are higher.
const HIGHEST_BOX: f64 = 142.0;
const MARGIN: f64 = 28.0;
const BETWEEN_BOXES: f64 = 18.0;
const BETWEEN_EDGES: f64 = 10.0;
const BETWEEN_COMPONENTS: f64 = 34.0;
/// Between two columns: with steep edges the wider one.
const COLUMN_GAP: (f64, f64) = (64.0, 210.0);
/// Between two arrows that arrive at a box, and between them and its corners.
const BETWEEN_PORTS: f64 = 8.0;
const CORNER: f64 = 9.0;
/// Rows of single nodes are at least this wide.
const ROW_WIDTH: f64 = 760.0;

/// Waypoints for each node and edge of a graph; a drawing with more would be a black surface.
const WAYPOINTS: usize = 12;

#[derive(Debug, Default)]
pub(super) struct Arrangement {
    /// By node.
    pub(super) boxes: Vec<Rect>,
    pub(super) is_default: Vec<bool>,
    pub(super) trunks: Vec<Trunk>,
    pub(super) arrows: Vec<Arrow>,
    pub(super) width: f64,
    pub(super) height: f64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Rect {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The common part of a node's long edges.
#[derive(Debug)]
pub(super) struct Trunk {
    pub(super) node: usize,
    /// Left end, right end and height of each stretch through a column.
    pub(super) stretches: Vec<(f64, f64, f64)>,
}

#[derive(Debug)]
pub(super) struct Arrow {
    pub(super) source: usize,
    pub(super) target: usize,
    /// On the source's side, or on its trunk.
    pub(super) from: (f64, f64),
    pub(super) to: (f64, f64),
}

pub(super) fn arrange(graph: &Graph) -> Arrangement {
    let links = Links::of(graph);
    let layers = layering::layers(&links);
    let edges: usize = links.before.iter().map(Vec::len).sum();
    let routed = routed(&links, &layers, WAYPOINTS * (layers.len() + edges));
    let mut is_default = vec![false; layers.len()];
    graph.default.iter().for_each(|output| is_default[output.node.0] = true);
    let nodes = graph.nodes.iter().zip(&is_default);
    let widths: Vec<f64> = nodes.map(|(node, &is_default)| paint::box_width(node, is_default)).collect();
    let (single, joined): (Vec<_>, Vec<_>) =
        links.components().into_iter().partition(|component| component.len() == 1);
    let mut parts = Vec::new();
    let mut top = MARGIN;
    for component in joined {
        let skeleton = Skeleton::of(&component, &links, &layers, &routed);
        let part = Part::of(skeleton, top);
        top = part.bottom + BETWEEN_COMPONENTS;
        parts.push(part);
    }
    let boxes = vec![Rect::default(); layers.len()];
    let mut drawing = Arrangement { boxes, is_default, ..Arrangement::default() };
    let columns = Columns::of(&parts, &widths);
    for part in &parts {
        place_boxes(part, &columns, &mut drawing);
        place_edges(part, &columns, &mut drawing);
    }
    place_unrouted(&links, &layers, &routed, &mut drawing);
    drawing.width = columns.right();
    let bottom = place_rows(&single, &widths, top, &mut drawing);
    drawing.height = bottom - BETWEEN_COMPONENTS + MARGIN;
    drawing.width += MARGIN;
    drawing
}

/// A component with the height of each of its items' centres.
struct Part {
    skeleton: Skeleton,
    centres: Vec<f64>,
    /// Of each item; a waypoint has none.
    heights: Vec<f64>,
    bottom: f64,
}

impl Part {
    fn of(mut skeleton: Skeleton, top: f64) -> Part {
        order::reduce_crossings(&mut skeleton);
        let heights: Vec<f64> = skeleton.items.iter().map(height).collect();
        let is_waypoint = |item: usize| skeleton.items[item].is_waypoint;
        let distance = |upper: usize, lower: usize| {
            let both_edges = is_waypoint(upper) && is_waypoint(lower);
            let between = if both_edges { BETWEEN_EDGES } else { BETWEEN_BOXES };
            between + (heights[upper] + heights[lower]) / 2.0
        };
        let mut centres = position::positions(&skeleton, &distance);
        let tops = centres.iter().zip(&heights).map(|(centre, height)| centre - height / 2.0);
        let highest = tops.fold(f64::INFINITY, f64::min);
        centres.iter_mut().for_each(|centre| *centre = (*centre - highest + top).round());
        let bottoms = centres.iter().zip(&heights).map(|(centre, height)| centre + height / 2.0);
        let bottom = bottoms.fold(top, f64::max);
        Part { skeleton, centres, heights, bottom }
    }
}

fn height(item: &Item) -> f64 {
    if item.is_waypoint {
        return 0.0;
    }
    (item.before.len() as f64 * BETWEEN_PORTS + 2.0 * CORNER - 4.0).clamp(LOWEST_BOX, HIGHEST_BOX)
}

/// Left end and width of each layer.
struct Columns(Vec<(f64, f64)>);

impl Columns {
    /// As wide as the widest box, with room between them for the steepest edge.
    fn of(parts: &[Part], widths: &[f64]) -> Columns {
        let count = parts.iter().map(|part| part.skeleton.layers.len()).max().unwrap_or(0);
        let mut columns = vec![(0.0f64, 0.0f64); count];
        let mut steepest = vec![0.0f64; count];
        for part in parts {
            for (place, item) in part.skeleton.items.iter().enumerate() {
                if !item.is_waypoint {
                    let width = &mut columns[item.layer].1;
                    *width = width.max(widths[item.node]);
                }
                for &end in &item.after {
                    let rise = (part.centres[place] - part.centres[end]).abs();
                    steepest[item.layer] = steepest[item.layer].max(rise);
                }
            }
        }
        let mut left = MARGIN;
        for (column, rise) in columns.iter_mut().zip(steepest) {
            column.0 = left;
            left += (column.1 + (rise * 0.28).clamp(COLUMN_GAP.0, COLUMN_GAP.1)).round();
        }
        Columns(columns)
    }

    fn left(&self, layer: usize) -> f64 {
        self.0[layer].0
    }

    fn right_of(&self, layer: usize) -> f64 {
        self.0[layer].0 + self.0[layer].1
    }

    fn right(&self) -> f64 {
        self.0.last().map_or(MARGIN, |(left, width)| left + width)
    }
}

fn place_boxes(part: &Part, columns: &Columns, drawing: &mut Arrangement) {
    for (place, item) in part.skeleton.items.iter().enumerate().filter(|(_, item)| !item.is_waypoint) {
        let (left, width) = columns.0[item.layer];
        let (height, centre) = (part.heights[place], part.centres[place]);
        drawing.boxes[item.node] = Rect { left, top: centre - height / 2.0, width, height };
    }
}

fn place_edges(part: &Part, columns: &Columns, drawing: &mut Arrangement) {
    let items = &part.skeleton.items;
    for (place, item) in items.iter().enumerate() {
        if item.is_waypoint {
            let stretch = (columns.left(item.layer), columns.right_of(item.layer), part.centres[place]);
            match drawing.trunks.last_mut() {
                Some(trunk) if trunk.node == item.node => trunk.stretches.push(stretch),
                _ => drawing.trunks.push(Trunk { node: item.node, stretches: vec![stretch] }),
            }
            continue;
        }
        let mut before = item.before.clone();
        before.sort_by(|&one, &other| part.centres[one].total_cmp(&part.centres[other]));
        let heights: Vec<f64> = before.iter().map(|&from| part.centres[from]).collect();
        for (&from, port) in before.iter().zip(ports(&heights, part.centres[place], part.heights[place])) {
            drawing.arrows.push(Arrow {
                source: items[from].node,
                target: item.node,
                from: (columns.right_of(items[from].layer), part.centres[from]),
                to: (columns.left(item.layer), port),
            });
        }
    }
}

/// Where edges that come from these heights, in ascending order, arrive at a box: straight where that can be,
/// else around its middle.
fn ports(from: &[f64], centre: f64, height: f64) -> Vec<f64> {
    let reach = height / 2.0 - CORNER;
    let last = from.len() as f64 - 1.0;
    let apart = (2.0 * reach / last.max(1.0)).min(BETWEEN_PORTS);
    let is_beside: Vec<bool> = from.iter().map(|height| (height - centre).abs() <= reach).collect();
    let wanted = |(place, &height): (usize, &f64)| {
        if is_beside[place] { height } else { centre + (place as f64 - last / 2.0) * apart }
    };
    let mut ports: Vec<f64> = from.iter().enumerate().map(wanted).collect();
    // The others make room for the straight ones, then all for one another and for the corners.
    for (gives_way, reach) in [(false, f64::INFINITY), (true, reach)] {
        let mut limit = centre + reach;
        for (port, &is_straight) in ports.iter_mut().zip(&is_beside).rev() {
            *port = if gives_way || !is_straight { port.min(limit) } else { *port };
            limit = *port - apart;
        }
        let mut limit = centre - reach;
        for (port, &is_straight) in ports.iter_mut().zip(&is_beside) {
            *port = if gives_way || !is_straight { port.max(limit) } else { *port };
            limit = *port + apart;
        }
    }
    ports
}

fn place_unrouted(links: &Links, layers: &[usize], routed: &[bool], drawing: &mut Arrangement) {
    for source in (0..layers.len()).filter(|&node| !routed[node]) {
        for &target in links.after[source].iter().filter(|&&above| layers[above] > layers[source] + 1) {
            let (start, end) = (drawing.boxes[source], drawing.boxes[target]);
            drawing.arrows.push(Arrow {
                source,
                target,
                from: (start.left + start.width, start.top + start.height / 2.0),
                to: (end.left, end.top + end.height / 2.0),
            });
        }
    }
}

/// Single nodes, from left to right in rows. Returns where a next part would begin.
fn place_rows(single: &[Vec<usize>], widths: &[f64], top: f64, drawing: &mut Arrangement) -> f64 {
    let right = drawing.width.max(ROW_WIDTH);
    let (mut left, mut row) = (MARGIN, top);
    for &node in single.iter().flatten() {
        if left > MARGIN && left + widths[node] > right {
            (left, row) = (MARGIN, row + LOWEST_BOX + BETWEEN_BOXES);
        }
        drawing.boxes[node] = Rect { left, top: row, width: widths[node], height: LOWEST_BOX };
        drawing.width = drawing.width.max(left + widths[node]);
        left += widths[node] + BETWEEN_BOXES;
    }
    if single.is_empty() { top } else { row + LOWEST_BOX + BETWEEN_COMPONENTS }
}

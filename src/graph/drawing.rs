//! A graph as a picture: SVG that stands alone. Drawn in layers, sources left and what is made of them right
//! (Sugiyama, Tagawa and Toda): nodes get columns, long edges get waypoints, crossings are reduced, and long
//! edges are kept straight. Equal graphs give equal bytes.

mod links;
mod layering;
mod skeleton;
mod order;
mod crossings;
mod position;
mod arrange;
mod measure;
mod palette;
mod paint;
mod legend;

use crate::graph::graph::Graph;

/// A picture of all nodes, with a legend of their kinds; what `default` names is marked.
/// The graph has no cycle.
pub fn svg(graph: &Graph) -> String {
    paint::page(graph, &arrange::arrange(graph))
}

#[cfg(test)]
mod tests;

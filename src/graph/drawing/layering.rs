//! Node → layer. First as far left as its inputs allow, then to the right wherever that makes edges shorter,
//! so that a source stands beside what uses it and not at the far left.

use crate::graph::drawing::links::Links;

/// Each moves whole chains; what is left after these is not seen.
const ROUNDS: usize = 8;

/// Every edge leads from a lower layer to a higher one.
pub(super) fn layers(links: &Links) -> Vec<usize> {
    let order = links.inputs_first();
    let mut layers = vec![0; links.before.len()];
    for &node in &order {
        layers[node] = links.before[node].iter().map(|&source| layers[source] + 1).max().unwrap_or(0);
    }
    for _ in 0..ROUNDS {
        if !tighten(links, &order, &mut layers) {
            break;
        }
    }
    layers
}

/// Moves to the right each node with no more edges on its left than on its right.
fn tighten(links: &Links, order: &[usize], layers: &mut [usize]) -> bool {
    let mut has_moved = false;
    for &node in order.iter().rev() {
        let (before, after) = (&links.before[node], &links.after[node]);
        let Some(nearest) = after.iter().map(|&above| layers[above]).min() else { continue };
        if before.len() <= after.len() && layers[node] + 1 < nearest {
            layers[node] = nearest - 1;
            has_moved = true;
        }
    }
    has_moved
}

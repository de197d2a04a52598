//! Nodes in layers, with a waypoint in each layer that an edge passes. All edges of one node share their
//! waypoints, as branches share a trunk: fewer lines, and no more waypoints than nodes times layers.

use crate::graph::drawing::links::Links;

#[derive(Debug)]
pub(super) struct Skeleton {
    /// The nodes of the component, in its order, then the waypoints.
    pub(super) items: Vec<Item>,
    /// Items, top first.
    pub(super) layers: Vec<Vec<usize>>,
}

#[derive(Debug)]
pub(super) struct Item {
    /// Itself, or whose edges pass here.
    pub(super) node: usize,
    pub(super) is_waypoint: bool,
    pub(super) layer: usize,
    /// Items of the layer before, and of the one after.
    pub(super) before: Vec<usize>,
    pub(super) after: Vec<usize>,
}

/// Which nodes get waypoints: all, or of a huge graph those with the shortest way to go, up to `most` waypoints.
/// The long edges of the others are drawn straight across.
pub(super) fn routed(links: &Links, layers: &[usize], most: usize) -> Vec<bool> {
    let passed = |node: usize| {
        let farthest = links.after[node].iter().map(|&above| layers[above]).max();
        farthest.map_or(0, |farthest| farthest - layers[node] - 1)
    };
    let mut spans: Vec<(usize, usize)> = (0..layers.len()).map(|node| (passed(node), node)).collect();
    spans.sort_unstable();
    let mut routed = vec![false; layers.len()];
    let mut spent = 0;
    for (span, node) in spans {
        spent += span;
        routed[node] = spent <= most;
    }
    routed
}

impl Skeleton {
    /// Of one component; its first layer becomes layer 0.
    pub(super) fn of(component: &[usize], links: &Links, layers: &[usize], routed: &[bool]) -> Skeleton {
        let first = component.iter().map(|&node| layers[node]).min().unwrap_or(0);
        let mut skeleton = Skeleton { items: Vec::new(), layers: Vec::new() };
        for &node in component {
            skeleton.add(node, false, layers[node] - first);
        }
        for (item, &node) in component.iter().enumerate() {
            let targets = links.after[node].iter().filter_map(|above| component.binary_search(above).ok());
            skeleton.route(item, &targets.collect::<Vec<_>>(), routed[node]);
        }
        skeleton
    }

    fn route(&mut self, source: usize, targets: &[usize], routed: bool) {
        let (node, layer) = (self.items[source].node, self.items[source].layer);
        let mut trunk = vec![source];
        for &target in targets {
            let end = self.items[target].layer;
            if !routed && end > layer + 1 {
                continue;
            }
            while trunk.len() < end - layer {
                let waypoint = self.add(node, true, layer + trunk.len());
                self.join(trunk[trunk.len() - 1], waypoint);
                trunk.push(waypoint);
            }
            self.join(trunk[end - layer - 1], target);
        }
    }

    fn add(&mut self, node: usize, is_waypoint: bool, layer: usize) -> usize {
        let item = self.items.len();
        if self.layers.len() <= layer {
            self.layers.resize(layer + 1, Vec::new());
        }
        self.layers[layer].push(item);
        self.items.push(Item { node, is_waypoint, layer, before: Vec::new(), after: Vec::new() });
        item
    }

    fn join(&mut self, left: usize, right: usize) {
        self.items[left].after.push(right);
        self.items[right].before.push(left);
    }
}

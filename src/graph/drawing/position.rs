//! Where each item stands in its layer, in pixels, after Brandes and Köpf ("Fast and Simple Horizontal
//! Coordinate Assignment", 2001): items are aligned with their middle neighbour into blocks, waypoints first so
//! that long edges are straight; blocks are moved together; four such layouts are averaged. Blocks are
//! compacted along longest paths, which unlike the paper's classes never lets two items overlap.

use std::collections::HashSet;

use crate::graph::drawing::skeleton::Skeleton;

/// Pixels between the centres of two neighbours of a layer, the upper one first.
pub(super) type Distance<'a> = &'a dyn Fn(usize, usize) -> f64;

/// The centre of each item. Neighbours are at least their distance apart.
pub(super) fn positions(skeleton: &Skeleton, distance: Distance) -> Vec<f64> {
    let blocked = crossing_trunks(skeleton);
    let mut layouts: Vec<Vec<f64>> = Vec::new();
    for is_rightwards in [true, false] {
        for is_downwards in [true, false] {
            let view = View::of(skeleton, is_rightwards, is_downwards);
            let roots = view.align(skeleton, &blocked);
            let mut layout = view.compact(&roots, distance);
            if !is_downwards {
                layout.iter_mut().for_each(|position| *position = -*position);
            }
            layouts.push(layout);
        }
    }
    bring_together(&mut layouts);
    (0..skeleton.items.len()).map(|item| middle(&layouts, item)).collect()
}

/// Edges that cross a trunk between two of its waypoints: they give way.
fn crossing_trunks(skeleton: &Skeleton) -> HashSet<(usize, usize)> {
    let view = View::of(skeleton, true, true);
    let mut blocked = HashSet::new();
    for pair in skeleton.layers.windows(2) {
        let (last_left, right) = (pair[0].len().saturating_sub(1), &pair[1]);
        let (mut first, mut scanned) = (0, 0);
        for (at, &item) in right.iter().enumerate() {
            let trunk = trunk_before(skeleton, item);
            if trunk.is_none() && at + 1 < right.len() {
                continue;
            }
            let last = trunk.map_or(last_left, |waypoint| view.place[waypoint]);
            for &end in &right[scanned..=at] {
                for &start in &skeleton.items[end].before {
                    let is_outside = view.place[start] < first || view.place[start] > last;
                    if is_outside && trunk_before(skeleton, end).is_none() {
                        blocked.insert((start, end));
                    }
                }
            }
            (first, scanned) = (last, at + 1);
        }
    }
    blocked
}

/// The waypoint before a waypoint.
fn trunk_before(skeleton: &Skeleton, item: usize) -> Option<usize> {
    let before = skeleton.items[item].before.first().copied()?;
    (skeleton.items[item].is_waypoint && skeleton.items[before].is_waypoint).then_some(before)
}

/// The drawing, perhaps turned over: layers in the order in which they are aligned.
struct View {
    layers: Vec<Vec<usize>>,
    place: Vec<usize>,
    is_rightwards: bool,
    is_downwards: bool,
}

impl View {
    fn of(skeleton: &Skeleton, is_rightwards: bool, is_downwards: bool) -> View {
        let mut layers = skeleton.layers.clone();
        if !is_rightwards {
            layers.reverse();
        }
        if !is_downwards {
            layers.iter_mut().for_each(|layer| layer.reverse());
        }
        let mut place = vec![0; skeleton.items.len()];
        for layer in &layers {
            for (at, &item) in layer.iter().enumerate() {
                place[item] = at;
            }
        }
        View { layers, place, is_rightwards, is_downwards }
    }

    /// The first item of each item's block.
    fn align(&self, skeleton: &Skeleton, blocked: &HashSet<(usize, usize)>) -> Vec<usize> {
        let mut root: Vec<usize> = (0..self.place.len()).collect();
        let mut has_next = vec![false; root.len()];
        for layer in &self.layers {
            let mut free_from = 0;
            for &item in layer {
                for middle in self.middles(skeleton, item) {
                    let edge = if self.is_rightwards { (middle, item) } else { (item, middle) };
                    let is_free = !has_next[middle] && self.place[middle] >= free_from;
                    if root[item] == item && is_free && !blocked.contains(&edge) {
                        root[item] = root[middle];
                        has_next[middle] = true;
                        free_from = self.place[middle] + 1;
                    }
                }
            }
        }
        root
    }

    /// One neighbour, or the two in the middle.
    fn middles(&self, skeleton: &Skeleton, item: usize) -> Vec<usize> {
        let item = &skeleton.items[item];
        let mut neighbours = if self.is_rightwards { item.before.clone() } else { item.after.clone() };
        neighbours.sort_unstable_by_key(|&neighbour| self.place[neighbour]);
        match neighbours.len() {
            0 => Vec::new(),
            count => neighbours[(count - 1) / 2..=count / 2].to_vec(),
        }
    }

    /// All blocks as near to the top as they go, then back towards those below them.
    fn compact(&self, root: &[usize], distance: Distance) -> Vec<f64> {
        let mut below: Vec<Vec<(usize, f64)>> = vec![Vec::new(); root.len()];
        let mut missing = vec![0usize; root.len()];
        for layer in &self.layers {
            for pair in layer.windows(2) {
                let (upper, lower) = if self.is_downwards { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
                below[root[pair[0]]].push((root[pair[1]], distance(upper, lower)));
                missing[root[pair[1]]] += 1;
            }
        }
        let mut position = vec![0.0f64; root.len()];
        let mut order: Vec<usize> =
            (0..root.len()).filter(|&item| root[item] == item && missing[item] == 0).collect();
        let mut next = 0;
        while let Some(&block) = order.get(next) {
            next += 1;
            for &(lower, apart) in &below[block] {
                position[lower] = position[lower].max(position[block] + apart);
                missing[lower] -= 1;
                if missing[lower] == 0 {
                    order.push(lower);
                }
            }
        }
        for &block in order.iter().rev() {
            let room = below[block].iter().map(|&(lower, apart)| position[lower] - apart);
            let nearest = room.fold(f64::INFINITY, f64::min);
            if nearest.is_finite() {
                position[block] = position[block].max(nearest);
            }
        }
        (0..root.len()).map(|item| position[root[item]]).collect()
    }
}

/// Moves the layouts to where the narrowest of them is: those built from the top by their tops, the others by
/// their ends.
fn bring_together(layouts: &mut [Vec<f64>]) {
    let bounds = |layout: &[f64]| {
        layout.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &position| {
            (low.min(position), high.max(position))
        })
    };
    let all: Vec<(f64, f64)> = layouts.iter().map(|layout| bounds(layout)).collect();
    let narrowest = all.iter().copied().min_by(|one, other| (one.1 - one.0).total_cmp(&(other.1 - other.0)));
    let Some(narrowest) = narrowest else { return };
    for (place, (layout, own)) in layouts.iter_mut().zip(all).enumerate() {
        let shift = if place % 2 == 0 { narrowest.0 - own.0 } else { narrowest.1 - own.1 };
        layout.iter_mut().for_each(|position| *position += shift);
    }
}

/// The mean of the two middle ones of four.
fn middle(layouts: &[Vec<f64>], item: usize) -> f64 {
    let mut found: Vec<f64> = layouts.iter().map(|layout| layout[item]).collect();
    found.sort_by(f64::total_cmp);
    f64::midpoint(found[1], found[2])
}

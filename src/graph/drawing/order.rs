//! The order of items in their layers, with few crossings: from a walk along the edges, sweeps to the right
//! and to the left sort each layer by the mean place of its neighbours, and in small drawings neighbours
//! are exchanged as long as that helps. The best order that was seen is kept.

use crate::graph::drawing::crossings;
use crate::graph::drawing::skeleton::Skeleton;

/// Items and edges looked at in all sweeps together: a large drawing gets fewer.
const EFFORT: usize = 2_000_000;
const SWEEPS: std::ops::RangeInclusive<usize> = 2..=24;
/// Up to here neighbours are exchanged too.
const SMALL: usize = 1_500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// Sorts `skeleton.layers`.
pub(super) fn reduce_crossings(skeleton: &mut Skeleton) {
    walk(skeleton);
    let mut place = places(skeleton);
    let mut best = (crossings::count(skeleton, &place), skeleton.layers.clone());
    let edges: usize = skeleton.items.iter().map(|item| item.after.len()).sum();
    let size = skeleton.items.len() + edges;
    let sweeps = (EFFORT / size.max(1)).clamp(*SWEEPS.start(), *SWEEPS.end());
    for sweep in 0..sweeps {
        if best.0 == 0 {
            break;
        }
        // Ties keep their order in two sweeps, and are turned in the next two.
        sort_layers(skeleton, &mut place, sweep % 2 == 0, sweep % 4 >= 2);
        if size <= SMALL {
            while exchange(skeleton, &mut place) {}
        }
        let found = crossings::count(skeleton, &place);
        if found < best.0 {
            best = (found, skeleton.layers.clone());
        }
    }
    skeleton.layers = best.1;
}

/// What hangs together comes to stand together: from each item that nothing needs, along its inputs.
fn walk(skeleton: &mut Skeleton) {
    let mut seen = vec![false; skeleton.items.len()];
    let mut layers = vec![Vec::new(); skeleton.layers.len()];
    let ends = (0..skeleton.items.len()).filter(|&item| skeleton.items[item].after.is_empty());
    for end in ends {
        let mut open = vec![end];
        while let Some(item) = open.pop() {
            if !std::mem::replace(&mut seen[item], true) {
                layers[skeleton.items[item].layer].push(item);
                open.extend(skeleton.items[item].before.iter().rev());
            }
        }
    }
    skeleton.layers = layers;
}

/// Each item's place in its layer.
pub(super) fn places(skeleton: &Skeleton) -> Vec<usize> {
    let mut place = vec![0; skeleton.items.len()];
    for layer in &skeleton.layers {
        for (at, &item) in layer.iter().enumerate() {
            place[item] = at;
        }
    }
    place
}

fn sort_layers(skeleton: &mut Skeleton, place: &mut [usize], to_the_right: bool, turn_ties: bool) {
    let count = skeleton.layers.len();
    for step in 1..count {
        let (at, side) = if to_the_right { (step, Side::Before) } else { (count - 1 - step, Side::After) };
        let sorted = sorted(skeleton, place, at, side, turn_ties);
        for (to, &item) in sorted.iter().enumerate() {
            place[item] = to;
        }
        skeleton.layers[at] = sorted;
    }
}

/// Items without neighbours on that side stay where they are.
fn sorted(skeleton: &Skeleton, place: &[usize], at: usize, side: Side, turn_ties: bool) -> Vec<usize> {
    let mut layer = skeleton.layers[at].clone();
    let slots: Vec<usize> =
        (0..layer.len()).filter(|&slot| !neighbours(skeleton, layer[slot], side).is_empty()).collect();
    let mut movable: Vec<(f64, usize)> =
        slots.iter().map(|&slot| (mean(skeleton, place, layer[slot], side), layer[slot])).collect();
    if turn_ties {
        movable.reverse();
    }
    movable.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (slot, (_, item)) in slots.into_iter().zip(movable) {
        layer[slot] = item;
    }
    layer
}

fn neighbours(skeleton: &Skeleton, item: usize, side: Side) -> &[usize] {
    match side {
        Side::Before => &skeleton.items[item].before,
        Side::After => &skeleton.items[item].after,
    }
}

fn mean(skeleton: &Skeleton, place: &[usize], item: usize, side: Side) -> f64 {
    let ends = neighbours(skeleton, item, side);
    ends.iter().map(|&end| place[end] as f64).sum::<f64>() / ends.len() as f64
}

/// Exchanges neighbours where fewer edges cross then. Each exchange removes a crossing, so that it ends.
fn exchange(skeleton: &mut Skeleton, place: &mut [usize]) -> bool {
    let mut has_changed = false;
    for at in 0..skeleton.layers.len() {
        for slot in 1..skeleton.layers[at].len() {
            let (above, below) = (skeleton.layers[at][slot - 1], skeleton.layers[at][slot]);
            let (now, then) = both_ways(skeleton, place, above, below);
            if then < now {
                skeleton.layers[at].swap(slot - 1, slot);
                place.swap(above, below);
                has_changed = true;
            }
        }
    }
    has_changed
}

fn both_ways(skeleton: &Skeleton, place: &[usize], above: usize, below: usize) -> (usize, usize) {
    let ends = |item: usize, side: Side| {
        let mut ends: Vec<usize> = neighbours(skeleton, item, side).iter().map(|&end| place[end]).collect();
        ends.sort_unstable();
        ends
    };
    let (mut now, mut then) = (0, 0);
    for side in [Side::Before, Side::After] {
        let (one, other) = (ends(above, side), ends(below, side));
        now += crossings::of_pair(&one, &other);
        then += crossings::of_pair(&other, &one);
    }
    (now, then)
}
